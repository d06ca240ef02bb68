from __future__ import annotations

import numpy as np
import pytest

from include.declarations import Budget, GoldenCase, GoldenPredictions
from include.modeling.gates.package import ROWS
from tests.include.conftest import make_flights
from tests.include.modeling.gates.conftest import Model, answers, sound, verdicts_of

MODEST = Budget(maximum_latency_ms=10, maximum_size_mb=5, maximum_memory_mb=500)
ROW = {
    "carrier": "AA", "origin": "JFK", "dest": "BOS", "hour": 6, "weekday": 1, "distance": 200.0,
    "temp": 10.0, "wind_speed": 5.0, "pressure": 10.0,
}  # fmt: skip


def parity(**changes):
    found = verdicts_of((MODEST,), **changes)
    return {verdict.gate: verdict for verdict in found}["parity"]


def expected():
    test = make_flights(days=60, a_day=60)
    test = test[test["day"] >= "2013-02-11"]
    return sound(test.iloc[np.linspace(0, len(test) - 1, ROWS).astype(int)])


def test_a_fresh_process_that_answers_alike_passes():
    found = parity(fresh=answers(expected()))
    assert (found.outcome, f"on {ROWS} test rows" in found.reason) == ("pass", True)


@pytest.mark.parametrize(
    "wrong", [lambda p: p + 1e-6, lambda p: p[:-1], lambda p: p * np.nan], ids=["other", "fewer", "none"]
)
def test_a_fresh_process_that_answers_otherwise_is_found(wrong):
    assert parity(fresh=answers(wrong(np.asarray(expected())))).outcome == "fail"


def test_no_answer_from_a_fresh_process_is_a_failure():
    found = parity()
    assert (found.outcome, found.reason) == ("fail", "could not be judged: no fresh process was asked")


def test_golden_rows_that_cannot_be_asked_fail_their_gate_and_end_no_other():
    found = {verdict.gate: verdict for verdict in verdicts_of((MODEST,), fresh=answers(expected()))}
    assert (found["golden"].outcome, found["parity"].outcome) == ("fail", "pass")
    assert "the model cannot answer its golden rows: " in found["golden"].reason


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"latency_p99_ms": 11.0}, "99 % of single rows within 11 ms, 10 ms allowed"),
        ({"size_mb": 500.0}, "the model's files take 500 MB, 5 MB allowed"),
        ({"memory_mb": 501.0}, "a process with the model takes 501 MB, 500 MB allowed"),
    ],
)
def test_what_costs_more_than_its_budget_is_named(verdict_of, over, words):
    found = verdict_of(MODEST, fresh=answers(expected(), **over))
    assert (found.outcome, found.reason) == ("fail", words)


def test_the_whole_budget_may_be_spent(verdict_of):
    spent = answers(expected(), latency_p99_ms=10.0, size_mb=5.0, memory_mb=500.0)
    assert verdict_of(MODEST, fresh=spent).outcome == "pass"


@pytest.mark.parametrize(("latency", "outcome"), [(4.0, "pass"), (4.1, "fail")])
def test_a_model_may_be_as_slow_as_the_champion_times_the_ratio(verdict_of, latency, outcome):
    gate = Budget(maximum_latency_ratio=2, maximum_size_ratio=2, maximum_memory_ratio=2)
    found = verdict_of(
        gate, champion=Model(sound), fresh=answers(expected(), latency_p50_ms=latency), champions=answers([])
    )
    assert found.outcome == outcome


def test_the_first_model_has_no_champion_to_compare_with(verdict_of):
    found = verdict_of(Budget(maximum_size_ratio=2), fresh=answers(expected()))
    assert (found.outcome, found.reason) == ("pass", "there is no champion yet to compare with")


def cases(**bounds):
    return GoldenPredictions(cases=(GoldenCase(name="calm_morning", row=ROW, **bounds),))


def test_a_row_that_everybody_knows_is_answered_as_expected(verdict_of):
    assert verdict_of(cases(maximum=0.2)).outcome == "pass"


def test_a_known_row_with_a_strange_answer_is_named(verdict_of):
    found = verdict_of(cases(minimum=0.5, maximum=0.9), lambda frame: np.full(len(frame), 0.25))
    assert found.outcome == "fail"
    assert found.reason == "calm_morning is answered 0.25, at least 0.5 and at most 0.9 expected"


@pytest.mark.parametrize("bounds", [{"minimum": 0.25}, {"maximum": 0.25}])
def test_an_answer_at_its_bound_is_as_expected(verdict_of, bounds):
    assert verdict_of(cases(**bounds), lambda frame: np.full(len(frame), 0.25)).outcome == "pass"
