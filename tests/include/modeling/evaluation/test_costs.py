from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import DecisionCost, ErrorCost
from include.modeling.evaluation.costs import best_threshold, cost_of, curve

COST = DecisionCost(currency="EUR", false_positive=10, false_negative=40, benefit_true_positive=5)
TARGET, ANSWERS = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.1, 0.3, 0.6, 0.9])


def test_each_wrong_decision_has_its_price_and_a_right_one_may_pay():
    assert cost_of(COST, TARGET, ANSWERS, 0.5).tolist() == [0, 40, 10, -5]


def test_a_row_at_the_threshold_is_acted_on():
    assert cost_of(COST, TARGET, ANSWERS, 0.9).tolist() == [0, 40, 0, -5]


def test_too_high_and_too_low_cost_by_the_unit():
    cost = ErrorCost(currency="EUR", over=1, under=3)
    assert cost_of(cost, np.array([5.0, 5.0, 5.0]), np.array([7.0, 3.0, 5.0]), None).tolist() == [2, 6, 0]


def test_the_best_threshold_is_the_cheapest():
    assert best_threshold(COST, TARGET, ANSWERS) == 0.3


def test_where_acting_never_pays_the_threshold_is_above_every_answer():
    assert best_threshold(COST, np.zeros(4), ANSWERS) > ANSWERS.max()


def test_the_curve_is_in_money_per_thousand_rows_and_begins_with_doing_nothing():
    thresholds, costs = curve(COST, TARGET, ANSWERS)
    assert costs[0] == 80 / 4 * 1_000
    assert list(thresholds[1:]) == sorted(ANSWERS, reverse=True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_no_other_threshold_is_cheaper(drawn):
    target, answers = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    best = cost_of(COST, target, answers, best_threshold(COST, target, answers)).sum()
    others = [cost_of(COST, target, answers, each).sum() for each in (-1, *np.unique(answers), 9)]
    assert best == pytest.approx(min(others))
