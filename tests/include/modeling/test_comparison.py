from __future__ import annotations

import time
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from include.declarations import GREATER_IS_BETTER, METRICS, Metric
from include.modeling.comparison import _log_losses, gain
from include.modeling.evaluation import MEASURES

CLASSIFIER = sorted(METRICS["classification"])
ALL = get_args(Metric)


def rows(metric, count=3_000, seed=0, better=0.2):
    """Return target, challenger and champion; a larger `better` is a worse champion."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    new, old = truth + rng.normal(size=count), truth + rng.normal(size=count) * (1 + better)
    if metric in METRICS["regression"]:
        return truth * 10, new * 10, old * 10
    target = (rng.random(count) < 1 / (1 + np.exp(-truth * 2))).astype(float)
    return target, 1 / (1 + np.exp(-new)).round(3), 1 / (1 + np.exp(-old)).round(3)


@pytest.mark.parametrize("metric", ALL)
def test_the_gain_is_the_difference_of_the_metrics(metric):
    target, new, old = rows(metric)
    difference = MEASURES[metric](target, new) - MEASURES[metric](target, old)
    expected = difference if metric in GREATER_IS_BETTER else -difference
    assert gain(metric, target, new, old, confidence=0.95).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_a_clearly_better_model_gains_with_confidence(metric):
    assert gain(metric, *rows(metric, better=0.6), confidence=0.95).lower > 0


@pytest.mark.parametrize("metric", ALL)
def test_a_clearly_worse_model_loses_with_confidence(metric):
    target, new, old = rows(metric, better=0.6)
    assert gain(metric, target, old, new, confidence=0.95).upper < 0


@pytest.mark.parametrize("metric", ALL)
def test_a_model_gains_nothing_on_itself(metric):
    target, new, _ = rows(metric)
    found = gain(metric, target, new, new, confidence=0.95)
    assert (found.value, found.lower, found.upper) == (0, 0, 0)


@pytest.mark.parametrize("metric", ALL)
def test_more_confidence_asks_for_a_wider_interval(metric):
    low, high = (gain(metric, *rows(metric), confidence=level) for level in (0.8, 0.99))
    assert high.lower < low.lower < low.upper < high.upper


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "r2"])
def test_the_interval_holds_the_true_gain_as_often_as_it_says(metric):
    truth = np.mean(
        [gain(metric, *rows(metric, 20_000, seed), confidence=0.9).value for seed in (900, 901, 902)]
    )
    bounds = [gain(metric, *rows(metric, 400, seed), confidence=0.9) for seed in range(60)]
    assert np.mean([found.lower <= truth for found in bounds]) == pytest.approx(0.9, abs=0.12)


def test_the_same_rows_give_the_same_interval():
    assert gain("mae", *rows("mae"), confidence=0.9) == gain("mae", *rows("mae"), confidence=0.9)


@pytest.mark.parametrize("metric", ["log_loss", "mae", "roc_auc", "r2", "average_precision"])
def test_thirteen_thousand_rows_are_compared_within_a_second(metric):
    given_rows = rows(metric, 13_000)
    started = time.process_time()
    gain(metric, *given_rows, confidence=0.95)
    assert time.process_time() - started < 1


def test_certain_and_wrong_predictions_cost_what_scikit_learn_says():
    target, predictions = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.3])
    assert _log_losses(target, predictions).mean() == pytest.approx(MEASURES["log_loss"](target, predictions))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 4)), min_size=4, max_size=40))
def test_ties_count_as_scikit_learn_counts_them(drawn):
    target, new, old = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    target[:2] = 0, 1
    for metric, score in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        expected = score(target, new) - score(target, old)
        assert gain(metric, target, new, old, confidence=0.9).value == pytest.approx(expected, abs=1e-9)
