from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from include.declarations import GREATER_IS_BETTER, METRICS
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.metrics import METRIC_FUNCTIONS
from include.modeling.evaluation.metrics.resampled import log_losses, resample_metric

ALL = sorted(METRICS["binary"] | METRICS["regression"])


def rows(metric, count=3_000, seed=0, better=0.2, days=20):
    """Return target, challenger, champion and days; a larger `better` is a worse champion."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    new = truth + rng.normal(size=count)
    old = truth + rng.normal(size=count) * (1 + better)
    of_day = UnitBootstrap.of_days(np.arange(count) * days // count)
    if metric in METRICS["regression"]:
        return truth * 10, new * 10, old * 10, of_day
    target = (rng.random(count) < 1 / (1 + np.exp(-truth * 2))).astype(float)
    return target, 1 / (1 + np.exp(-new)).round(3), 1 / (1 + np.exp(-old)).round(3), of_day


def compared(metric, *, confidence=0.95, **how):
    target, new, old, days = rows(metric, **how)
    return paired_gain(metric, target, new, old, confidence=confidence, units=days)


@pytest.mark.parametrize("metric", ALL)
def test_gain_is_the_difference_of_the_metrics(metric):
    target, new, old, _ = rows(metric)
    difference = METRIC_FUNCTIONS[metric](target, new) - METRIC_FUNCTIONS[metric](target, old)
    expected = difference if metric in GREATER_IS_BETTER else -difference
    assert compared(metric).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", ALL)
def test_gain_of_a_better_model_is_above_zero(metric):
    assert compared(metric, better=0.6).lower > 0


@pytest.mark.parametrize("metric", ALL)
def test_gain_of_a_worse_model_is_below_zero(metric):
    target, new, old, days = rows(metric, better=0.6)
    assert paired_gain(metric, target, old, new, confidence=0.95, units=days).upper < 0


@pytest.mark.parametrize("metric", ALL)
def test_gain_of_a_model_on_itself_is_zero(metric):
    target, new, _, days = rows(metric)
    gain = paired_gain(metric, target, new, new, confidence=0.95, units=days)
    assert (gain.value, gain.lower, gain.upper) == (0, 0, 0)


@pytest.mark.parametrize("metric", ALL)
def test_interval_is_wider_with_more_confidence(metric):
    low = compared(metric, confidence=0.8)
    high = compared(metric, confidence=0.99)
    assert high.lower < low.lower < low.upper < high.upper


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "r2"])
def test_interval_contains_the_true_gain_with_its_confidence(metric):
    truth = np.mean([compared(metric, count=20_000, seed=seed).value for seed in (900, 901, 902)])
    bounds = [compared(metric, confidence=0.9, count=400, seed=seed) for seed in range(60)]
    assert np.mean([gain.lower <= truth for gain in bounds]) == pytest.approx(0.9, abs=0.12)


def of_good_and_bad_days(seed, days=14, a_day=50):
    """Return two models that are equally good in the long run, each with its own good and bad days."""
    rng = np.random.default_rng(seed)
    fates = np.repeat(rng.normal(scale=1.0, size=(2, days)), a_day, axis=1)
    new, old = 10 + fates + rng.normal(size=fates.shape)
    return np.zeros(days * a_day), new, old, np.repeat(np.arange(days), a_day)


def test_rows_of_one_day_are_not_taken_as_independent():
    *models, days = of_good_and_bad_days(1, a_day=500)
    by_day = paired_gain("mae", *models, confidence=0.95, units=UnitBootstrap.of_days(days))
    by_row = paired_gain("mae", *models, confidence=0.95, units=UnitBootstrap.of_rows(len(days)))
    assert by_day.upper - by_day.lower > 3 * (by_row.upper - by_row.lower)


def test_varying_days_are_seldom_taken_for_a_gain():
    lower = []
    for seed in range(100):
        *models, days = of_good_and_bad_days(seed)
        lower.append(paired_gain("mae", *models, confidence=0.9, units=UnitBootstrap.of_days(days)).lower)
    assert np.mean(np.array(lower) <= 0) >= 0.82


def test_interval_of_the_same_rows_is_the_same():
    assert compared("mae") == compared("mae")


@pytest.mark.parametrize("metric", ["log_loss", "mae", "roc_auc", "r2", "average_precision"])
def test_comparison_of_200000_rows_costs_at_most_100_sorts(metric):
    target, new, old, days = rows(metric, 200_000, days=14)
    comparison_s = cpu_seconds(lambda: paired_gain(metric, target, new, old, confidence=0.95, units=days))
    sort_s = cpu_seconds(lambda: [np.argsort(new) for _ in range(10)]) / 10
    assert comparison_s < 100 * sort_s


def cpu_seconds(action):
    started_at = time.process_time()
    action()
    return time.process_time() - started_at


def test_log_loss_of_certain_errors_is_that_of_scikit_learn():
    target = np.array([1.0, 0.0, 1.0, 0.0])
    predictions = np.array([0.0, 1.0, 1.0, 0.3])
    assert log_losses(target, predictions).mean() == pytest.approx(
        METRIC_FUNCTIONS["log_loss"](target, predictions)
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 2)), min_size=4, max_size=40))
def test_ties_count_as_in_scikit_learn(drawn):
    target, scores, of_day = (np.array(column, dtype=float) for column in zip(*drawn, strict=True))
    target[:2] = 0, 1
    days = UnitBootstrap.of_days(of_day)
    for metric, score in (("roc_auc", roc_auc_score), ("average_precision", average_precision_score)):
        (value,) = resample_metric(metric, target, scores, days)(days.ones)
        assert value == pytest.approx(score(target, scores), abs=1e-9)


@pytest.mark.parametrize("metric", ALL)
def test_day_of_weight_two_counts_as_repeated_rows(metric):
    target, new, _, days = rows(metric, 60, days=3)
    repeated = np.concatenate([np.arange(60), np.flatnonzero(days.codes == 1)])
    (value,) = resample_metric(metric, target, new, days)(np.array([[1.0, 2.0, 1.0]]))
    assert value == pytest.approx(METRIC_FUNCTIONS[metric](target[repeated], new[repeated]), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e9, 1e200])
@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_gain_is_the_same_in_every_scale(metric, scale):
    target, new, old, days = rows(metric, 300)
    expected = paired_gain(metric, target, new, old, confidence=0.95, units=days)
    factor = 1 if metric == "r2" else scale
    gain = paired_gain(metric, target * scale, new * scale, old * scale, confidence=0.95, units=days)
    bounds = (gain.lower / factor, gain.value / factor, gain.upper / factor)
    assert bounds == pytest.approx((expected.lower, expected.value, expected.upper), rel=1e-6)


def test_later_attempts_have_a_lower_bound():
    target, new, old, days = rows("mae")
    gains = [
        paired_gain("mae", target, new, old, confidence=0.95, units=days, attempt=attempt)
        for attempt in (1, 2, 30)
    ]
    assert gains[0].lower > gains[1].lower > gains[2].lower
    assert len({gain.upper for gain in gains}) == 1
    assert gains[2].lower_confidence > 0.9999
