from __future__ import annotations

import json

import numpy as np
import pytest

from include.data.snapshots.splits import Splits
from include.declarations import DecisionCost, Robustness, Threshold
from include.modeling.evaluation.context import build_context
from include.modeling.evaluation.plots import draw_evaluation
from include.modeling.gates import judge_gates, report
from include.modeling.gates.verdict import Verdict
from include.modeling.pipeline.collect_evidence import collect_evidence, with_sizes
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.conftest import make_flights
from tests.include.modeling.gates.conftest import COLUMNS, Model, minutes, sound

GATES = {
    "binary": (
        Threshold(metric="roc_auc", minimum=0.99),
        Robustness(noise={"wind_speed": 0.5}, rows=100),
    ),
    "regression": (Threshold(metric="mae", maximum=9),),
}


CLASSIFIED = {"roc.png", "precision_recall.png", "reliability.png", "cost.png"}


def tried(task="binary", function=sound):
    base = FLIGHT_DELAY if task == "binary" else AIR_TIME
    cost = DecisionCost(currency="EUR", false_positive=1, false_negative=4)
    use_case = base.model_copy(
        update={"gates": GATES[task], "features": tuple(COLUMNS), "naive_by": ("hour",)}
        | ({"cost": cost} if task == "binary" else {})
    )
    frame = make_flights(days=30, task=task)
    parts = [
        frame[(frame["day"] > a) & (frame["day"] <= b)]
        for a, b in (("2", "2013-01-15"), ("2013-01-15", "2013-01-20"), ("2013-01-20", "3"))
    ]
    splits = Splits(*parts)
    trial = build_context(use_case, Model(function, task=task), None, splits)
    evidence = with_sizes(collect_evidence(trial, overlap=0, champions_overlap=None, refusals=0), splits)
    return use_case, trial, evidence


def test_one_page_says_what_every_gate_said_on_which_rows_and_what_it_is_worth(tmp_path):
    use_case, _, evidence = tried()
    page, data = report.write_report_files(tmp_path, use_case, evidence, judge_gates(use_case, evidence))
    text = page.read_text()
    assert "**Refused**" in text
    assert "| threshold_roc_auc | ✗ fail | block | roc_auc 0." in text
    assert "(on 100 rows)" in text
    assert "600 train, 200 validation, 400 test; 10 test days" in text
    assert "Skill against the naive forecast (by hour): " in text
    assert "EUR with the model" in text
    found = json.loads(data.read_text())
    assert found["conclusion"] == "refused"
    assert found["measured"]["robustness/block"]["rows"] == 100


@pytest.mark.parametrize(
    ("outcome", "severity", "conclusion"),
    [
        ("pass", "block", "passed"), ("fail", "block", "refused"), ("inconclusive", "block", "undecided"),
        ("fail", "warn", "passed"), ("inconclusive", "info", "passed"),
    ],
)  # fmt: skip
def test_the_conclusion_is_that_of_the_blocking_gates(outcome, severity, conclusion):
    assert report.conclusion([Verdict("a", outcome, severity, "b", {})]) == conclusion


def test_a_reason_cannot_break_the_table():
    said = [Verdict("a", "fail", "block", "this | and\nthat", {})]
    assert "| this \\| and that |" in report.report_markdown(FLIGHT_DELAY, None, said)


@pytest.mark.parametrize(
    ("task", "function", "pictures"),
    [
        ("binary", sound, CLASSIFIED),
        ("regression", minutes, {"residuals.png", "reliability.png"}),
        ("binary", lambda frame: np.full(len(frame), 0.5), CLASSIFIED),
    ],
    ids=["classifier", "regression", "constant"],
)  # fmt: skip
def test_people_have_something_to_look_at(tmp_path, task, function, pictures):
    _, trial, _ = tried(task, function)
    paths = draw_evaluation(trial, tmp_path)
    assert {path.name for path in paths} == pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
