from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from include.declarations import METRICS
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics import METRIC_FUNCTIONS, compute_metrics
from include.modeling.evaluation.metrics.resampled import resample_metric
from include.use_cases.delay_band import USE_CASE

METRIC_NAMES = sorted(METRICS["multiclass"])


@pytest.fixture
def scored():
    """Return target, predictions and day of 600 rows of three classes."""
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 600).astype(float)
    odds = rng.dirichlet((1, 1, 1), 600)
    odds[np.arange(600), target.astype(int)] += 0.5
    return target, odds / odds.sum(axis=1, keepdims=True), rng.integers(0, 12, 600)


@pytest.mark.parametrize("metric", METRIC_NAMES)
def test_metric_of_drawn_days_is_that_of_their_rows(scored, metric):
    target, predictions, day = scored
    days = UnitBootstrap.of_days(day)
    statistic = resample_metric(metric, target, predictions, days)
    assert statistic(days.ones)[0] == pytest.approx(METRIC_FUNCTIONS[metric](target, predictions))
    weights = np.zeros((1, days.count))
    weights[0, [2, 5, 7]] = 1, 2, 1
    rows = np.concatenate([np.flatnonzero(day == which) for which in (2, 5, 5, 7)])
    # Of the ROC AUC, a pair of a day with itself is counted once more.
    if metric != "roc_auc":
        assert statistic(weights)[0] == pytest.approx(
            METRIC_FUNCTIONS[metric](target[rows], predictions[rows])
        )
    assert statistic(days.weights).std() > 0


def test_multiclass_metrics_are_those_of_scikit_learn(scored):
    target, predictions, _ = scored
    values = compute_metrics(USE_CASE, predictions, target)
    assert sorted(values) == METRIC_NAMES
    assert values["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(target, predictions, multi_class="ovr", average="macro")
    )
    assert values["f1_macro"] == pytest.approx(
        metrics.f1_score(target, predictions.argmax(1), average="macro")
    )


def test_ranking_is_undefined_where_a_class_is_absent(scored):
    target, predictions, _ = scored
    assert "roc_auc" not in compute_metrics(USE_CASE, predictions, np.minimum(target, 1))
