from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import DecisionCost, ErrorCost
from include.modeling.evaluation.costs import best_threshold, cost_curve, row_costs

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
