from __future__ import annotations

import numpy as np

from include.inference.decisions import DecisionRule

CLASSES = ("on_time", "late", "lost")


def test_rows_from_the_threshold_on_are_acted_on():
    rule = DecisionRule(threshold=0.3)
    predictions = np.array([0.29, 0.3, 0.9])
    assert rule.decide(predictions).tolist() == [0, 1, 1]
    assert rule.answer(predictions, ()) == [False, True, True]


def test_class_of_the_least_expected_cost_is_decided():
    rule = DecisionRule(costs=((0, 1, 5), (4, 0, 1), (100, 10, 0)))
    predictions = np.array([[0.9, 0.09, 0.01], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    # The most probable class of the first row would cost 1.36, and `late` costs 1.0.
    assert rule.answer(predictions, CLASSES) == ["late", "on_time", "lost"]


def test_first_of_equal_decisions_is_taken():
    rule = DecisionRule(costs=((0, 1), (1, 0)))
    assert rule.decide(np.array([[0.5, 0.5]])).tolist() == [0]


def test_rule_is_read_as_it_was_written():
    for rule in (DecisionRule(threshold=0.25), DecisionRule(costs=((0.0, 1.0), (2.0, 0.0)))):
        assert DecisionRule.read(rule.to_dict()) == rule


def test_no_rows_have_no_decision():
    assert DecisionRule(costs=((0, 1), (1, 0))).answer(np.zeros((0, 2)), ("a", "b")) == []
