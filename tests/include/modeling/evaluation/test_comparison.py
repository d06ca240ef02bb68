from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from include.declarations import GREATER_IS_BETTER, METRICS
from include.modeling.evaluation.bootstrap import DayBootstrap
from include.modeling.evaluation.bootstrap_metrics import log_losses, resample_metric
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.metrics import MEASURES

ALL = sorted(METRICS["binary"] | METRICS["regression"])


def rows(metric, count=3_000, seed=0, better=0.2, days=20):
    """Return target, challenger, champion and days; a larger `better` is a worse champion."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    new, old = truth + rng.normal(size=count), truth + rng.normal(size=count) * (1 + better)
    of_day = DayBootstrap.of(np.arange(count) * days // count)
    if metric in METRICS["regression"]:
        return truth * 10, new * 10, old * 10, of_day
    target = (rng.random(count) < 1 / (1 + np.exp(-truth * 2))).astype(float)
    return target, 1 / (1 + np.exp(-new)).round(3), 1 / (1 + np.exp(-old)).round(3), of_day


def compared(metric, *, confidence=0.95, **how):
    target, new, old, days = rows(metric, **how)
    return paired_gain(metric, target, new, old, confidence=confidence, days=days)


@pytest.mark.parametrize("metric", ALL)
def test_the_gain_is_the_difference_of_the_metrics(metric):
    target, new, old, _ = rows(metric)
    difference = MEASURES[metric](target, new) - MEASURES[metric](target, old)
    expected = difference if metric in GREATER_IS_BETTER else -difference
    assert compared(metric).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_a_clearly_better_model_gains_with_confidence(metric):
    assert compared(metric, better=0.6).lower > 0


@pytest.mark.parametrize("metric", ALL)
def test_a_clearly_worse_model_loses_with_confidence(metric):
    target, new, old, days = rows(metric, better=0.6)
    assert paired_gain(metric, target, old, new, confidence=0.95, days=days).upper < 0


@pytest.mark.parametrize("metric", ALL)
def test_a_model_gains_nothing_on_itself(metric):
    target, new, _, days = rows(metric)
    found = paired_gain(metric, target, new, new, confidence=0.95, days=days)
    assert (found.value, found.lower, found.upper) == (0, 0, 0)


@pytest.mark.parametrize("metric", ALL)
def test_more_confidence_asks_for_a_wider_interval(metric):
    low, high = (compared(metric, confidence=level) for level in (0.8, 0.99))
    assert high.lower < low.lower < low.upper < high.upper


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "r2"])
def test_the_interval_holds_the_true_gain_as_often_as_it_says(metric):
    truth = np.mean([compared(metric, count=20_000, seed=seed).value for seed in (900, 901, 902)])
    bounds = [compared(metric, confidence=0.9, count=400, seed=seed) for seed in range(60)]
    assert np.mean([found.lower <= truth for found in bounds]) == pytest.approx(0.9, abs=0.12)


def of_good_and_bad_days(seed, days=14, a_day=50):
    """Return two models that are equally good in the long run, each with its own good and bad days."""
    rng = np.random.default_rng(seed)
    fates = np.repeat(rng.normal(scale=1.0, size=(2, days)), a_day, axis=1)
    new, old = 10 + fates + rng.normal(size=fates.shape)
    return np.zeros(days * a_day), new, old, np.repeat(np.arange(days), a_day)


def test_rows_of_one_day_are_not_taken_for_independent():
    *models, days = of_good_and_bad_days(1, a_day=500)
    by_day, by_row = (
        paired_gain("mae", *models, confidence=0.95, days=DayBootstrap.of(each))
        for each in (days, np.arange(len(days)))
    )
    assert by_day.upper - by_day.lower > 3 * (by_row.upper - by_row.lower)


def test_good_and_bad_days_are_taken_for_a_gain_no_more_often_than_promised():
    lower = []
    for seed in range(100):
        *models, days = of_good_and_bad_days(seed)
        lower.append(paired_gain("mae", *models, confidence=0.9, days=DayBootstrap.of(days)).lower)
    assert np.mean(np.array(lower) <= 0) >= 0.82


def test_blocks_of_neighbours_make_every_resample_as_long_as_the_window():
    days = DayBootstrap.of(np.repeat(np.arange(14), 3))
    assert days.block == 2
    assert set(days.weights.sum(axis=1)) == {14.0}
    assert days.weights.mean(axis=0) == pytest.approx(1, abs=0.1)


def test_the_same_rows_give_the_same_interval():
    assert compared("mae") == compared("mae")


@pytest.mark.parametrize("metric", ["log_loss", "mae", "roc_auc", "r2", "average_precision"])
def test_two_hundred_thousand_rows_are_compared_within_two_seconds(metric):
    target, new, old, days = rows(metric, 200_000, days=14)
    started = time.process_time()
    paired_gain(metric, target, new, old, confidence=0.95, days=days)
    assert time.process_time() - started < 2


def test_certain_and_wrong_predictions_cost_what_scikit_learn_says():
    target, predictions = np.array([1.0, 0.0, 1.0, 0.0]), np.array([0.0, 1.0, 1.0, 0.3])
    assert log_losses(target, predictions).mean() == pytest.approx(MEASURES["log_loss"](target, predictions))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 2)), min_size=4, max_size=40))
def test_ties_count_as_scikit_learn_counts_them_whatever_the_days(drawn):
    target, scores, of_day = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    target[:2] = 0, 1
    days = DayBootstrap.of(of_day)
    for metric, score in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        (found,) = resample_metric(metric, target, scores, days)(days.ones)
        assert found == pytest.approx(score(target, scores), abs=1e-9)


@pytest.mark.parametrize("metric", ALL)
def test_a_day_drawn_twice_counts_as_if_its_rows_were_there_twice(metric):
    target, new, _, days = rows(metric, 60, days=3)
    twice = np.concatenate([np.arange(60), np.flatnonzero(days.places == 1)])
    (found,) = resample_metric(metric, target, new, days)(np.array([[1.0, 2.0, 1.0]]))
    assert found == pytest.approx(MEASURES[metric](target[twice], new[twice]), abs=1e-9)
