from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from include.declarations import ClassCost, DecisionCost, ErrorCost, Serving, Split, UseCase
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE

MATRIX = {
    "on_time": {"late": 5, "very_late": 10},
    "late": {"on_time": 20, "very_late": 5},
    "very_late": {"on_time": "distance", "late": 30},
}
BANDS = ClassCost(currency="EUR", costs=MATRIX)


def again(use_case, **changes):
    values = {name: getattr(use_case, name) for name in UseCase.model_fields}
    return UseCase.model_validate(values | changes)


def refund(rows):
    """Return the cost of a late flight."""
    return rows["distance"] / 10


def unusable():
    """Return nothing, of no rows."""


PATH = f"{__name__}:refund"


def decision(**changes):
    return DecisionCost(**{"currency": "EUR", "false_positive": 1, "false_negative": 2} | changes)


MISTAKES = {
    "nothing to decide": (lambda: decision(false_negative=0), "each of the two decisions needs a cost"),
    "infinite prediction": (lambda: ErrorCost(currency="EUR", over=0, under=1), "both be above 0"),
    "no currency": (lambda: decision(currency="euro"), "currency\n"),
    "negative": (lambda: decision(false_positive=-1), "false_positive"),
    "module that is absent": (
        lambda: again(USE_CASE, cost=decision(false_positive="include.nowhere:cost")),
        "cost.false_positive: include.nowhere cannot be imported",
    ),
    "function without rows": (
        lambda: again(USE_CASE, cost=decision(false_positive=f"{__name__}:unusable")),
        "cost.false_positive: unusable cannot be called as unusable(rows)",
    ),
    "columns without a function": (
        lambda: again(USE_CASE, cost=decision(columns=("distance",))),
        "cost.columns: no amount is a function",
    ),
    "unknown class": (
        lambda: again(DELAY_BAND, cost=ClassCost(currency="EUR", costs=MATRIX | {"lost": {"late": 1}})),
        "cost.costs: lost is none of on_time, late, very_late",
    ),
    "missing pair": (
        lambda: again(DELAY_BAND, cost=ClassCost(currency="EUR", costs=MATRIX | {"late": {"on_time": 20}})),
        "declare the cost (actual/decided) of late/very_late",
    ),
    "free decision": (
        lambda: again(
            DELAY_BAND,
            cost=ClassCost(
                currency="EUR",
                costs=MATRIX
                | {"on_time": {"late": 0, "very_late": 1}, "very_late": {"on_time": 1, "late": 0}},
            ),
        ),
        "deciding for late costs nothing, so no model is needed",
    ),
    "matrix of two decisions": (
        lambda: again(USE_CASE, cost=BANDS),
        "cost: ClassCost is not for a binary task",
    ),
    "errors of classes": (
        lambda: again(DELAY_BAND, cost=ErrorCost(currency="EUR", over=1, under=1)),
        "cost: ErrorCost is not for a multiclass task",
    ),
    "decision without a cost": (
        lambda: again(DELAY_BAND, serving=Serving(decision=True)),
        "serving.decision: declare the cost of decisions",
    ),
    "decision about a number": (
        lambda: again(
            AIR_TIME,
            cost=ErrorCost(currency="EUR", over=1, under=1),
            serving=Serving(decision=True),
        ),
        "serving.decision: declare the cost of decisions",
    ),
    "decision without validation": (
        lambda: again(USE_CASE, serving=Serving(decision=True), split=Split(validation_days=0)),
        "serving.decision: the rule is chosen on them, so split.validation_days must be above 0",
    ),
}


@pytest.mark.parametrize(("declare", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_senseless_cost_is_refused(declare, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        declare()


def test_sensible_costs_are_accepted():
    assert again(DELAY_BAND, cost=BANDS, serving=Serving(decision=True)).cost == BANDS
    assert again(USE_CASE, cost=decision(false_negative=PATH)).cost.row_columns == ()


def test_columns_of_amounts_are_read_with_the_rows():
    cost = decision(false_positive=PATH, false_negative="seats", columns=("fare",))
    assert cost.row_columns == ("seats", "fare")
    assert {"seats", "fare"} <= set(again(USE_CASE, cost=cost).auxiliary_columns)
    assert "distance" not in again(DELAY_BAND, cost=BANDS).auxiliary_columns
