from __future__ import annotations

import pytest
from pydantic import ValidationError

from include.declarations import Improvement, Overfitting, Threshold, Tuning
from include.declarations.metrics import KINDS, baseline_quantile
from include.declarations.training import Integer
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def again(use_case, **fields):
    return type(use_case).model_validate({**dict(use_case), **fields})


@pytest.mark.parametrize(
    ("metric", "written"),
    [("f1", "f1"), ("f1:.30", "f1:0.3"), ("f1:0.5", "f1"), ("top_k_accuracy:3", "top_k_accuracy:3")],
)
def test_metric_has_one_spelling(metric, written):
    assert Overfitting(metric=metric, maximum_gap=0.5).metric == written


@pytest.mark.parametrize(
    ("metric", "problem"),
    [
        ("f2", "unknown metric f2; there are accuracy, "),
        ("top_k_accuracy", "needs its k: declare top_k_accuracy:3"),
        ("quantile_loss", "needs its quantile: declare quantile_loss:0.9"),
        ("top_k_accuracy:2.5", "the k must be a whole number from 1"),
        ("quantile_loss:90", "the quantile must be between 0 and 1"),
        ("f1:x", "the threshold must be between 0 and 1"),
        ("f1:nan", "the threshold must be between 0 and 1"),
        ("f1:", "the threshold must be between 0 and 1"),
        ("mae:0.5", "mae takes no number; declare mae"),
    ],
)
def test_wrong_metric_names_the_remedy(metric, problem):
    with pytest.raises(ValidationError, match=problem):
        Improvement(metric=metric)


@pytest.mark.parametrize(
    ("use_case", "metric", "problem"),
    [
        (FLIGHT_DELAY, "mape", "metrics of a binary task: unknown mape; there are "),
        (AIR_TIME, "f1", "metrics of a regression task: unknown f1; there are "),
        (DELAY_BAND, "accuracy:0.3", "accuracy:0.3 has a threshold, and a multiclass task has none"),
        (DELAY_BAND, "top_k_accuracy:3", "top_k_accuracy:3 of 3 classes is always 1"),
    ],
    ids=["regression", "binary", "threshold", "all classes"],
)
def test_metric_of_another_task_is_refused(use_case, metric, problem):
    with pytest.raises(ValidationError, match=problem):
        again(use_case, metrics=(metric,))


def test_metrics_of_every_use_are_measured():
    tuning = Tuning(parameters={"max_depth": Integer(low=1, high=3)}, metric="recall:0.2")
    gates = (*FLIGHT_DELAY.gates, Threshold(metric="precision", minimum=0.3))
    use_case = again(FLIGHT_DELAY, metrics=("f1:0.3",), tuning=tuning, gates=gates)
    assert use_case.measured_metrics >= {"f1:0.3", "recall:0.2", "precision", use_case.metric}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_threshold_has_a_direction_and_bounds(name):
    kind = KINDS[name]
    numbers = {None: "", "k": ":2", "threshold": ":0.4", "quantile": ":0.4"}
    metric = name + numbers[kind.parameter]
    good, bad = ("minimum", "maximum") if kind.greater_is_better else ("maximum", "minimum")
    Threshold(metric=metric, **{good: 0.5})
    with pytest.raises(ValidationError, match="would refuse only good models"):
        Threshold(metric=metric, **{bad: 0.5})
    if kind.greater_is_better:
        with pytest.raises(ValidationError, match="is never above 1"):
            Threshold(metric=metric, minimum=1.5)
    else:
        with pytest.raises(ValidationError, match="is never below 0"):
            Threshold(metric=metric, maximum=-0.5)


def test_baseline_is_the_best_constant_of_the_metric():
    quantiles = {metric: baseline_quantile(metric) for metric in ("mae", "rmse", "quantile_loss:0.9", "f1")}
    assert quantiles == {"mae": 0.5, "rmse": None, "quantile_loss:0.9": 0.9, "f1": None}
