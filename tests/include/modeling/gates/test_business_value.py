from __future__ import annotations

import numpy as np
import pytest

from include.declarations import BusinessValue, DecisionCost, ErrorCost
from tests.include.modeling.gates.conftest import minutes, sound

COST = DecisionCost(currency="EUR", false_positive=10, false_negative=40)
GATE = BusinessValue()


def test_a_sound_model_saves_money_against_the_naive_forecast(verdict_of):
    found = verdict_of(GATE, cost=COST)
    assert found.outcome == "pass"
    assert "EUR on 1,000 rows against the naive forecast" in found.reason


def test_a_model_that_knows_less_than_the_hour_costs_money(verdict_of):
    found = verdict_of(GATE, lambda frame: np.full(len(frame), 0.4), cost=COST)
    assert (found.outcome, found.figures["saved"] < 0) == ("fail", True)


def test_a_model_as_good_as_the_naive_forecast_is_worth_nothing_for_sure(verdict_of):
    gate = BusinessValue(minimum_per_thousand=1)
    slots = {}

    def same(frame):
        return frame["hour"].map(slots).fillna(0.5)

    def rows(frame):
        train = frame[frame["day"] < "2013-02-01"]
        slots.update(train.groupby("hour")["target"].mean())
        return frame

    found = verdict_of(gate, same, rows=rows, cost=COST)
    assert found.outcome == "fail"
    assert found.figures["saved"] == pytest.approx(0)


def test_what_is_required_may_be_saved_exactly_and_in_between_a_person_decides(verdict_of):
    found = verdict_of(GATE, cost=COST).figures
    for required, outcome in (
        (found["lower"], "pass"), (found["saved"], "inconclusive"), (found["upper"] + 1, "fail"),
    ):  # fmt: skip
        assert verdict_of(BusinessValue(minimum_per_thousand=required), cost=COST).outcome == outcome


def test_a_regression_pays_by_the_minute(verdict_of):
    cost = ErrorCost(currency="USD", over=1, under=3)
    found = verdict_of(GATE, minutes, task="regression", cost=cost)
    assert (found.outcome, found.figures["model"] < found.figures["naive"]) == ("pass", True)


def test_too_few_days_cannot_tell(verdict_of):
    def rows(frame):
        return frame[frame["day"] < "2013-02-15"]

    assert verdict_of(GATE, sound, rows=rows, cost=COST).outcome == "inconclusive"
