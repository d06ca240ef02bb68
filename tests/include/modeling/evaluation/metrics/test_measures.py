from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.declarations import METRICS
from include.errors import DataError, ModelError
from include.modeling.evaluation.metrics import compute_metrics, predict, skill_score, undefined_metrics
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def test_metrics_are_those_of_the_task():
    target = np.array([0, 1, 1, 0])
    assert compute_metrics(FLIGHT_DELAY, np.array([0.1, 0.9, 0.4, 0.5]), target).keys() == METRICS["binary"]
    assert compute_metrics(AIR_TIME, np.array([1.0, 2.0, 3.0, 4.0]), target).keys() == METRICS["regression"]


def test_metrics_of_known_predictions():
    metrics = compute_metrics(FLIGHT_DELAY, np.array([0.2, 0.6]), np.array([0, 1]))
    assert metrics == pytest.approx(
        {"roc_auc": 1.0, "average_precision": 1.0, "brier": 0.1, "log_loss": -(np.log(0.8) + np.log(0.6)) / 2}
    )


def test_ranking_metrics_are_undefined_on_one_class():
    assert compute_metrics(FLIGHT_DELAY, np.array([0.2, 0.6]), np.array([1, 1])).keys() == {
        "brier",
        "log_loss",
    }


def test_r2_is_undefined_on_one_row():
    assert compute_metrics(AIR_TIME, np.array([1.0]), np.array([2.0])) == {"rmse": 1.0, "mae": 1.0}


@pytest.mark.parametrize(
    ("predictions", "error"),
    [([0.5, np.nan], ModelError), ([0.5, np.inf], ModelError), ([], DataError)],
    ids=["nan", "infinite", "no rows"],
)
def test_metrics_of_invalid_predictions_are_refused(predictions, error):
    with pytest.raises(error, match="flight_delay"):
        compute_metrics(FLIGHT_DELAY, np.array(predictions), np.zeros(len(predictions)))


@pytest.mark.parametrize("name", ["flight_delay", "air_time"])
def test_prediction_is_one_number_per_row(estimators, flights, name):
    use_case = {"flight_delay": FLIGHT_DELAY, "air_time": AIR_TIME}[name]
    rows = flights(days=2)[list(use_case.features)]
    predictions = predict(estimators[name], use_case.task, rows)
    assert (predictions.shape, predictions.dtype) == ((len(rows),), np.float64)


SMALL = (np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.5, 2.0, 3.0, 9.0]))


@given(scale=st.floats(1e-300, 1e300), sign=st.sampled_from([-1, 1]))
def test_errors_grow_with_the_scale_and_r2_does_not(scale, sign):
    target, predictions = (sign * scale * values for values in SMALL)
    expected = compute_metrics(AIR_TIME, SMALL[1], SMALL[0])
    metrics = compute_metrics(AIR_TIME, predictions, target)
    assert metrics["r2"] == pytest.approx(expected["r2"])
    for name in ("mae", "rmse"):
        assert metrics[name] == pytest.approx(expected[name] * scale, rel=1e-9)


def test_metric_that_is_infinite_is_undefined():
    metrics = compute_metrics(AIR_TIME, np.array([1.7e308, 1.0]), np.array([-1.7e308, 1.0]))
    assert "mae" not in metrics


def test_missing_class_is_named_in_words():
    reasons = undefined_metrics(FLIGHT_DELAY, np.array([0.2, 0.6]), np.array([0, 0]))
    assert reasons.keys() == {"roc_auc", "average_precision"}
    assert reasons["roc_auc"] == "none of the 2 rows is above 15"


@given(model=st.floats(-1e300, 1e300), baseline=st.floats(-1e300, 1e300))
def test_skill_is_a_finite_number_or_none(model, baseline):
    for metric in ("r2", "mae"):
        skill = skill_score(metric, {metric: model}, {metric: baseline})
        assert skill is None or np.isfinite(skill)


def again(use_case, **fields):
    return type(use_case).model_validate({**dict(use_case), **fields})


EXTRA = again(
    FLIGHT_DELAY,
    metrics=("f1", "precision:0.7", "recall", "balanced_accuracy", "accuracy:0.3", "matthews_corrcoef"),
)


def test_declared_metrics_are_measured_too():
    predictions = np.array([0.2, 0.6, 0.8])
    values = compute_metrics(EXTRA, predictions, np.array([0, 1, 0]))
    assert values.keys() == METRICS["binary"] | set(EXTRA.metrics)
    assert values["accuracy:0.3"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("target", "undefined"),
    [
        ([0, 0], {"f1", "recall", "balanced_accuracy", "matthews_corrcoef", "roc_auc", "average_precision"}),
        ([1, 1], {"balanced_accuracy", "matthews_corrcoef", "roc_auc", "average_precision"}),
        ([0, 1], set()),
    ],
    ids=["no positive row", "no negative row", "both"],
)
def test_metrics_that_lack_a_class_are_undefined_in_words(target, undefined):
    predictions = np.array([0.2, 0.8])
    reasons = undefined_metrics(EXTRA, predictions, np.array(target))
    assert reasons.keys() == undefined
    assert all(reason.startswith("none of the 2 rows is ") for reason in reasons.values())
    assert compute_metrics(EXTRA, predictions, np.array(target)).keys() == EXTRA.measured_metrics - undefined


def test_precision_without_a_positive_decision_is_undefined():
    reasons = undefined_metrics(EXTRA, np.array([0.2, 0.6]), np.array([0, 1]))
    assert reasons == {"precision:0.7": "none of the 2 predictions reaches 0.7"}


def test_mape_of_targets_of_zero_is_undefined():
    use_case = again(AIR_TIME, metrics=("mape",))
    reasons = undefined_metrics(use_case, np.array([1.0, 2.0]), np.array([0.0, 2.0]))
    assert reasons == {"mape": "1 of the 2 targets are 0"}
    assert compute_metrics(use_case, np.array([1.0, 3.0]), np.array([2.0, 2.0]))["mape"] == 0.5
