from __future__ import annotations

import json

import httpx
import numpy as np
import pytest

from include.modeling import served_evaluation
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.served_evaluation import evaluate_served
from include.specifications import declared_specification
from include.use_cases.flight_delay import USE_CASE

SPECIFICATION = declared_specification(USE_CASE)
ADDRESS = "http://gateway/models/flight_delay/invocations"
HEADERS = {"X-Airworthy-Stage": "7"}


def probability(columns, row):
    return 0.1 + 0.03 * row[columns.index("hour")]


@pytest.fixture
def rows(flights):
    rows = flights(days=3).assign(**{name: 1.0 for name in USE_CASE.features if name not in flights(days=1)})
    return rows.reset_index(drop=True)


@pytest.fixture
def evaluated(rows):
    predictions = np.array([probability(["hour"], [hour]) for hour in rows["hour"]])
    return compute_metrics(USE_CASE, predictions, rows["_airworthy_target"])


@pytest.fixture
def answer(monkeypatch):
    """Return a function that makes the gateway answer with `change(predictions)`."""
    sent = []

    def serve(change=lambda predictions: predictions, status=200):
        def respond(request):
            split = json.loads(request.content)["dataframe_split"]
            sent.append(request)
            predictions = [probability(split["columns"], row) for row in split["data"]]
            return httpx.Response(status, json={"predictions": change(predictions)})

        transport = httpx.MockTransport(respond)
        client = httpx.Client
        monkeypatch.setattr(
            served_evaluation.httpx, "Client", lambda **options: client(transport=transport, **options)
        )
        return sent

    return serve


def test_served_answers_as_evaluated_pass(rows, evaluated, answer):
    sent = answer()
    served = evaluate_served(SPECIFICATION, rows, evaluated, ADDRESS, HEADERS)
    assert served.problem == ""
    assert served.figures["test_rows"] == len(rows)
    assert served.figures["served_log_loss"] == pytest.approx(evaluated["log_loss"])
    assert {request.headers["X-Airworthy-Stage"] for request in sent} == {"7"}


def test_other_answers_are_refused_with_figure_and_limit(rows, evaluated, answer):
    answer(lambda predictions: [1 - value for value in predictions])
    problem = evaluate_served(SPECIFICATION, rows, evaluated, ADDRESS, HEADERS).problem
    assert f"in the evaluation it was {evaluated['log_loss']:.6g}" in problem
    assert "is the tolerance" in problem


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda predictions: predictions, 500, "500 "),
        (lambda predictions: predictions[:-1], 200, "predictions for"),
        (lambda predictions: ["late"] * len(predictions), 200, "could not convert"),
    ],
    ids=["error", "length", "text"],
)
def test_rows_that_are_not_answered_are_a_failure(rows, evaluated, answer, change, status, reason):
    answer(change, status)
    served = evaluate_served(SPECIFICATION, rows, evaluated, ADDRESS, HEADERS)
    assert reason in served.problem


def test_sample_of_many_rows_may_differ_by_chance_only(rows, evaluated, answer, monkeypatch):
    monkeypatch.setattr(served_evaluation, "MAX_TEST_ROWS", 60)
    answer()
    served = evaluate_served(SPECIFICATION, rows, evaluated, ADDRESS, HEADERS)
    assert (served.problem, served.figures["test_rows"]) == ("", 60)
    far = evaluated | {"log_loss": evaluated["log_loss"] + 1}
    assert evaluate_served(SPECIFICATION, rows, far, ADDRESS, HEADERS).problem
