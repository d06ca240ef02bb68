from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import ClassCost, DecisionCost, ErrorCost
from include.errors import DataError
from include.inference.decisions import DecisionRule
from include.modeling.evaluation.costs import (
    best_threshold,
    choose_rule,
    cost_curve,
    costs_without_model,
    row_costs,
)
from include.use_cases.delay_band import USE_CASE as DELAY_BAND

COST = DecisionCost(currency="EUR", false_positive=10, false_negative=40, benefit_true_positive=5)
TARGET = np.array([0.0, 1.0, 0.0, 1.0])
PREDICTIONS = np.array([0.1, 0.3, 0.6, 0.9])


def test_decision_costs_are_those_of_its_kind():
    assert row_costs(COST, TARGET, PREDICTIONS, 0.5).tolist() == [0, 40, 10, -5]


def test_row_at_the_threshold_is_acted_on():
    assert row_costs(COST, TARGET, PREDICTIONS, 0.9).tolist() == [0, 40, 0, -5]


def test_error_costs_are_per_unit():
    cost = ErrorCost(currency="EUR", over=1, under=3)
    assert row_costs(cost, np.array([5.0, 5.0, 5.0]), np.array([7.0, 3.0, 5.0]), None).tolist() == [2, 6, 0]


def test_best_threshold_is_the_cheapest():
    assert best_threshold(COST, TARGET, PREDICTIONS) == 0.3


def test_best_threshold_is_above_all_if_acting_never_pays():
    assert best_threshold(COST, np.zeros(4), PREDICTIONS) > PREDICTIONS.max()


def test_cost_curve_is_per_1000_rows_and_starts_without_acting():
    thresholds, costs = cost_curve(COST, TARGET, PREDICTIONS)
    assert costs[0] == 80 / 4 * 1_000
    assert list(thresholds[1:]) == sorted(PREDICTIONS, reverse=True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_no_other_threshold_is_cheaper(drawn):
    target, predictions = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    best = row_costs(COST, target, predictions, best_threshold(COST, target, predictions)).sum()
    others = [
        row_costs(COST, target, predictions, threshold).sum()
        for threshold in (-1, *np.unique(predictions), 9)
    ]
    assert best == pytest.approx(min(others))


def double(rows):
    """Return the money of each row, twice its column `value`."""
    return 2 * rows["value"]


ROWS = pd.DataFrame({"value": [1.0, 2.0, 3.0, 4.0]})


def test_amounts_may_be_a_column_or_a_function():
    cost = DecisionCost(currency="EUR", false_positive="value", false_negative=f"{__name__}:double")
    assert row_costs(cost, TARGET, PREDICTIONS, 0.5, ROWS).tolist() == [0, 4, 3, 0]
    assert best_threshold(cost, TARGET, PREDICTIONS, ROWS) == 0.3
    per_unit = ErrorCost(currency="EUR", over="value", under=1)
    assert row_costs(per_unit, TARGET, TARGET + 2, None, ROWS).tolist() == [2, 4, 6, 8]


def test_amounts_of_rows_move_the_threshold():
    rare = DecisionCost(currency="EUR", false_positive=10, false_negative="value")
    assert best_threshold(rare, TARGET, PREDICTIONS, ROWS) == 0.9
    expensive = ROWS.assign(value=[0, 100, 0, 100])
    assert best_threshold(rare, TARGET, PREDICTIONS, expensive) == 0.3


@pytest.mark.parametrize("value", [None, -1.0, float("inf"), "many"])
def test_amount_that_is_no_money_is_an_error(value):
    cost = DecisionCost(currency="EUR", false_positive="value", false_negative=1)
    rows = pd.DataFrame({"value": [1.0, 2.0, 3.0, value]})
    with pytest.raises(DataError, match="value is missing, infinite or below 0 in 1 of 4 rows"):
        row_costs(cost, TARGET, PREDICTIONS, 0.5, rows)


def shortened(rows):
    """Return money for fewer rows."""
    return rows["value"].head(2)


def test_function_of_another_length_is_an_error():
    cost = DecisionCost(currency="EUR", false_positive=f"{__name__}:shortened", false_negative=1)
    with pytest.raises(DataError, match=r"returns the shape \(2,\) for 4 rows"):
        row_costs(cost, TARGET, PREDICTIONS, 0.5, ROWS)


MATRIX = ClassCost(
    currency="EUR",
    # Not in the order of the classes.
    costs={
        "very_late": {"on_time": "value", "late": 30},
        "on_time": {"late": 5, "very_late": 10},
        "late": {"on_time": 20, "very_late": 5},
    },
)
CLASS_TARGET = np.array([0.0, 1.0, 2.0, 2.0])
BANDS = DELAY_BAND.model_copy(update={"cost": MATRIX})
CERTAIN = np.eye(3)[[0, 2, 0, 1]]


def test_cost_of_a_class_depends_on_the_actual_one():
    rule = DecisionRule(costs=((0, 1, 1), (1, 0, 1), (1, 1, 0)))
    costs = row_costs(MATRIX, CLASS_TARGET, CERTAIN, rule, ROWS, BANDS.class_names)
    assert costs.tolist() == [0, 5, 3, 30]


def test_rule_of_classes_is_their_mean_cost():
    rule = choose_rule(BANDS, CLASS_TARGET, CERTAIN, ROWS)
    # 3.5 is the mean of the rows that are very late.
    assert rule.costs == ((0, 5, 10), (20, 0, 5), (3.5, 30, 0))
    without = choose_rule(BANDS, np.zeros(4), CERTAIN, ROWS)
    assert without.costs[2] == (2.5, 30, 0)


def test_without_a_model_the_cheapest_class_is_decided():
    costs = costs_without_model(
        MATRIX, CLASS_TARGET, train=CLASS_TARGET, selection=CLASS_TARGET,
        rows=ROWS, selection_rows=ROWS, class_names=BANDS.class_names,
    )  # fmt: skip
    assert costs.tolist() == [10, 5, 0, 0]


def test_costs_of_numbers_have_no_rule():
    regression = BANDS.model_copy(update={"cost": ErrorCost(currency="EUR", over=1, under=1)})
    assert choose_rule(regression, TARGET, PREDICTIONS) is None
