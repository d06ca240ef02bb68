from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics

from include.declarations import is_greater_better
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.metrics import metric_function
from include.modeling.evaluation.metrics.resampled import resample_metric

CLASSES = range(3)


def decided(score, threshold=0.5):
    return lambda target, predictions: score(target, predictions >= threshold)


def macro(score):
    return lambda target, predictions: score(
        target, predictions.argmax(1), average="macro", labels=CLASSES, zero_division=0
    )


BINARY = {
    "accuracy": decided(metrics.accuracy_score),
    "balanced_accuracy": decided(metrics.balanced_accuracy_score),
    "precision": decided(metrics.precision_score),
    "recall": decided(metrics.recall_score),
    "f1": decided(metrics.f1_score),
    "f1:0.3": decided(metrics.f1_score, 0.3),
    "recall:0.8": decided(metrics.recall_score, 0.8),
    "matthews_corrcoef": decided(metrics.matthews_corrcoef),
    "average_precision": metrics.average_precision_score,
}
MULTICLASS = {
    "accuracy": lambda target, odds: metrics.accuracy_score(target, odds.argmax(1)),
    "balanced_accuracy": lambda target, odds: metrics.balanced_accuracy_score(target, odds.argmax(1)),
    "matthews_corrcoef": lambda target, odds: metrics.matthews_corrcoef(target, odds.argmax(1)),
    "precision_macro": macro(metrics.precision_score),
    "recall_macro": macro(metrics.recall_score),
    "f1_macro": macro(metrics.f1_score),
    "average_precision": lambda target, odds: metrics.average_precision_score(
        np.eye(3)[target.astype(int)], odds
    ),
    "top_k_accuracy:1": lambda target, odds: metrics.top_k_accuracy_score(target, odds, k=1, labels=CLASSES),
    "top_k_accuracy:2": lambda target, odds: metrics.top_k_accuracy_score(target, odds, k=2, labels=CLASSES),
}
REGRESSION = {
    "mape": metrics.mean_absolute_percentage_error,
    "median_absolute_error": metrics.median_absolute_error,
    "max_error": metrics.max_error,
    "quantile_loss:0.9": lambda target, predictions: metrics.mean_pinball_loss(
        target, predictions, alpha=0.9
    ),
    "quantile_loss:0.05": lambda target, predictions: metrics.mean_pinball_loss(
        target, predictions, alpha=0.05
    ),
}
ALL = [
    *((metric, "binary", score) for metric, score in BINARY.items()),
    *((metric, "multiclass", score) for metric, score in MULTICLASS.items()),
    *((metric, "regression", score) for metric, score in REGRESSION.items()),
]
EACH = pytest.mark.parametrize(
    ("metric", "task", "score"), ALL, ids=[f"{task} {metric}" for metric, task, _ in ALL]
)


def rows(task, n_rows=300, seed=0):
    """Return target, a good and a bad model, and 6 days; predictions are coarse, so that some are equal."""
    rng = np.random.default_rng(seed)
    days = UnitBootstrap.of_days(np.arange(n_rows) % 6)
    if task == "regression":
        target = 50 + 10 * rng.normal(size=n_rows)
        return target, target + rng.normal(size=n_rows), target + 5 * rng.normal(size=n_rows), days
    target = rng.integers(0, 2 if task == "binary" else 3, n_rows).astype(float)
    models = []
    for weight in (0.6, 0.1):
        odds = rng.dirichlet(np.ones(3), n_rows).round(1)
        noise = rng.random(n_rows).round(1)
        certain = np.eye(3)[target.astype(int)]
        models.append(
            weight * target + (1 - weight) * noise
            if task == "binary"
            else weight * certain + (1 - weight) * odds
        )
    return target, *models, days


@EACH
def test_metric_is_that_of_scikit_learn(metric, task, score):
    target, good, bad, _ = rows(task)
    for predictions in (good, bad):
        assert metric_function(metric)(target, predictions) == pytest.approx(score(target, predictions))


@EACH
def test_metric_of_weights_is_that_of_repeated_rows(metric, task, score):
    target, _, predictions, days = rows(task)
    statistic = resample_metric(metric, target, predictions, days)
    assert statistic(days.ones)[0] == pytest.approx(score(target, predictions))
    repeated = np.flatnonzero(np.isin(days.codes, [1, 3, 4]))
    repeated = np.concatenate([repeated, np.flatnonzero(days.codes == 3)])
    weights = np.array([[0.0, 1.0, 0.0, 2.0, 1.0, 0.0]])
    assert statistic(weights)[0] == pytest.approx(score(target[repeated], predictions[repeated]), abs=1e-9)


@EACH
def test_gain_of_a_better_model_is_positive(metric, task, score):
    target, good, bad, days = rows(task)
    gain = paired_gain(metric, target, good, bad, confidence=0.9, units=days)
    difference = score(target, good) - score(target, bad)
    assert gain.value == pytest.approx(difference if is_greater_better(metric) else -difference)
    same = paired_gain(metric, target, good, good, confidence=0.9, units=days)
    assert (same.value, same.lower, same.upper) == (0, 0, 0)
    if metric not in {"recall:0.8", "quantile_loss:0.05"}:
        assert gain.value > 0


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_correlation_of_constant_decisions_is_zero(task):
    target, predictions, _, days = rows(task)
    constant = np.broadcast_to(predictions[0], predictions.shape)
    assert metric_function("matthews_corrcoef")(target, constant) == 0
    assert not resample_metric("matthews_corrcoef", target, constant, days)(days.weights).any()


def test_median_of_many_errors_is_resampled_closely():
    target, _, predictions, _ = rows("regression", n_rows=6_000)
    days = UnitBootstrap.of_days(np.arange(6_000) % 6)
    statistic = resample_metric("median_absolute_error", target, predictions, days)
    expected = metrics.median_absolute_error(target, predictions)
    assert statistic(days.ones)[0] == pytest.approx(expected, rel=2e-3)
    half = days.codes < 3
    weights = np.array([[1.0, 1, 1, 0, 0, 0]])
    expected = metrics.median_absolute_error(target[half], predictions[half])
    assert statistic(weights)[0] == pytest.approx(expected, rel=2e-3)


def test_median_of_many_errors_of_a_single_day_is_resampled():
    target, _, predictions, _ = rows("regression", n_rows=500)
    day = UnitBootstrap.of_days(np.zeros(500, dtype=int))
    statistic = resample_metric("median_absolute_error", target, predictions, day)
    expected = metrics.median_absolute_error(target, predictions)
    assert statistic(np.ones((1, 1)))[0] == pytest.approx(expected, rel=2e-2)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "balanced_accuracy", "matthews_corrcoef"])
def test_resample_without_a_class_is_left_out(metric):
    target = np.array([0.0, 0, 0, 1, 1, 0])
    predictions = np.array([0.1, 0.2, 0.3, 0.9, 0.4, 0.6])
    days = UnitBootstrap.of_days(np.array([0, 0, 0, 1, 1, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = resample_metric(metric, target, predictions, days)(np.array([[2.0, 0], [1, 1]]))
    assert np.isnan(values[0])
    assert np.isfinite(values[1])
