"""The estimate without labels, against labels under simulated drift."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.quality.estimated import estimate_quality
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY

ROWS = 20_000


def world(seed, *, mean=0.0, spread=1.5, turned=0.0):
    """Return calibrated probabilities and labels, of which the share `turned` became wrong."""
    random = np.random.default_rng(seed)
    predictions = 1 / (1 + np.exp(-random.normal(mean, spread, ROWS)))
    target = (random.random(ROWS) < predictions).astype(float)
    is_turned = random.random(ROWS) < turned
    return predictions, np.where(is_turned, 1 - target, target)


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 1.5), (-1.5, 1.5), (0.0, 0.5), (2.0, 3.0)])
def test_estimate_is_right_under_covariate_shift(mean, spread):
    predictions, target = world(1, mean=mean, spread=spread)
    measured = compute_metrics(FLIGHT_DELAY, predictions, target)
    estimated = estimate_quality(FLIGHT_DELAY, predictions)
    for metric in ("roc_auc", "brier", "log_loss"):
        assert estimated[metric] == pytest.approx(measured[metric], abs=0.015)
    assert estimated["accuracy"] == pytest.approx(np.mean((predictions >= 0.5) == target), abs=0.015)


def test_estimate_is_blind_to_concept_drift():
    predictions, target = world(1, turned=0.3)
    assert estimate_quality(FLIGHT_DELAY, predictions)["roc_auc"] > roc_auc_score(target, predictions) + 0.1


def test_earlier_labels_calibrate_the_estimate():
    predictions, target = world(1)
    boastful = predictions**3 / (predictions**3 + (1 - predictions) ** 3)
    measured = compute_metrics(FLIGHT_DELAY, boastful, target)
    earlier = world(2)
    calibration = (earlier[0] ** 3 / (earlier[0] ** 3 + (1 - earlier[0]) ** 3), earlier[1])
    calibrated = estimate_quality(FLIGHT_DELAY, boastful, calibration)
    assert estimate_quality(FLIGHT_DELAY, boastful)["roc_auc"] > measured["roc_auc"] + 0.05
    assert calibrated["roc_auc"] == pytest.approx(measured["roc_auc"], abs=0.01)
    assert calibrated["log_loss"] == pytest.approx(measured["log_loss"], abs=0.03)


def test_few_labels_do_not_calibrate():
    predictions, target = world(1)
    few = (predictions[:100], target[:100])
    assert estimate_quality(FLIGHT_DELAY, predictions, few) == estimate_quality(FLIGHT_DELAY, predictions)


def test_multiclass_accuracy_is_the_largest_probability():
    random = np.random.default_rng(0)
    predictions = random.dirichlet([1, 1, 1], ROWS)
    target = (random.random((ROWS, 1)) > predictions.cumsum(axis=1)).sum(axis=1)
    measured = compute_metrics(DELAY_BAND, predictions, target.astype(float))
    estimated = estimate_quality(DELAY_BAND, predictions)
    assert estimated["accuracy"] == pytest.approx(measured["accuracy"], abs=0.01)
    assert estimated["log_loss"] == pytest.approx(measured["log_loss"], abs=0.02)


def test_tasks_without_probabilities_have_no_estimate():
    assert estimate_quality(AIR_TIME, np.array([100.0])) == {}
    assert estimate_quality(FLIGHT_DELAY, np.array([])) == {}
