from __future__ import annotations

import numpy as np
import pytest

from include.declarations import BusinessValue, DecisionCost, ErrorCost
from tests.include.modeling.gates.conftest import minutes, sound

COST = DecisionCost(currency="EUR", false_positive=10, false_negative=40)
GATE = BusinessValue()


def test_sound_model_saves_against_the_baseline(verdict_of):
    verdict = verdict_of(GATE, cost=COST)
    assert verdict.outcome == "pass"
    assert "EUR per 1,000 rows against the baseline" in verdict.reason


def test_constant_model_costs_more_than_the_baseline(verdict_of):
    verdict = verdict_of(GATE, lambda frame: np.full(len(frame), 0.4), cost=COST)
    assert (verdict.outcome, verdict.figures["saved"] < 0) == ("fail", True)


def test_model_as_good_as_the_baseline_fails(verdict_of):
    gate = BusinessValue(minimum_per_thousand=1)
    slots = {}

    def same(frame):
        return frame["hour"].map(slots).fillna(0.5)

    def rows(frame):
        train = frame[frame["_airworthy_day"] < "2013-02-01"]
        slots.update(train.groupby("hour")["_airworthy_target"].mean())
        return frame

    verdict = verdict_of(gate, same, rows=rows, cost=COST)
    assert verdict.outcome == "fail"
    assert verdict.figures["saved"] == pytest.approx(0)


def test_minimum_at_the_lower_bound_passes_and_between_is_open(verdict_of):
    figures = verdict_of(GATE, cost=COST).figures
    for required, outcome in (
        (figures["lower"], "pass"),
        (figures["saved"], "inconclusive"),
        (figures["upper"] + 1, "fail"),
    ):
        assert verdict_of(BusinessValue(minimum_per_thousand=required), cost=COST).outcome == outcome


def test_regression_costs_are_per_unit_of_error(verdict_of):
    cost = ErrorCost(currency="USD", over=1, under=3)
    verdict = verdict_of(GATE, minutes, task="regression", cost=cost)
    assert (verdict.outcome, verdict.figures["model"] < verdict.figures["baseline"]) == ("pass", True)


def test_too_few_test_days_are_inconclusive(verdict_of):
    def rows(frame):
        return frame[frame["_airworthy_day"] < "2013-02-15"]

    assert verdict_of(GATE, sound, rows=rows, cost=COST).outcome == "inconclusive"
