"""The function of each metric, as scikit-learn defines it."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn import metrics

from include.declarations.metrics import is_own, split_metric, threshold_of
from include.modeling.evaluation.metrics.decisions import DECISION_METRICS, count_decisions
from include.modeling.evaluation.metrics.own import measure_own
from include.modeling.evaluation.metrics.rows import (
    absolute_errors,
    is_among_top,
    quantile_losses,
    relative_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    MetricFunction = Callable[[Values, Values], float]


def _area_under_roc(target: Values, predictions: Values) -> float:
    """Return the ROC AUC; of several classes the mean over each against all others."""
    if predictions.ndim == 1:
        return float(metrics.roc_auc_score(target, predictions))
    areas = [
        metrics.roc_auc_score(target == code, predictions[:, code]) for code in _class_codes(predictions)
    ]
    return float(np.mean(areas))


def _log_loss(target: Values, predictions: Values) -> float:
    return float(metrics.log_loss(target, predictions, labels=_class_codes(predictions)))


def _brier(target: Values, predictions: Values) -> float:
    return float(np.mean((predictions - target) ** 2))


def _average_precision(target: Values, predictions: Values) -> float:
    """Return the average precision; of several classes the mean over each against all others."""
    if predictions.ndim == 1:
        return float(metrics.average_precision_score(target, predictions))
    scores = [
        metrics.average_precision_score(target == code, predictions[:, code])
        for code in _class_codes(predictions)
    ]
    return float(np.mean(scores))


def _accuracy(target: Values, predictions: Values) -> float:
    return float(np.mean(predictions.argmax(axis=1) == target))


def _balanced_accuracy(target: Values, predictions: Values) -> float:
    recall = metrics.recall_score(
        target, predictions.argmax(axis=1), average="macro", labels=np.unique(target), zero_division=0
    )
    return float(recall)


def _macro(score: Callable[..., float]) -> MetricFunction:
    """Return the mean of a score over all declared classes; it is 0 of a class that is never predicted."""
    return lambda target, predictions: float(
        score(
            target,
            predictions.argmax(axis=1),
            average="macro",
            labels=_class_codes(predictions),
            zero_division=0,
        )
    )


def _matthews(target: Values, predictions: Values) -> float:
    return float(metrics.matthews_corrcoef(target, predictions.argmax(axis=1)))


def _mean_absolute_error(target: Values, predictions: Values) -> float:
    """Return the MAE, infinite where scikit-learn would refuse the error of huge numbers."""
    return float(np.mean(np.abs(predictions - target)))


def _root_mean_squared_error(target: Values, predictions: Values) -> float:
    """Return the RMSE; the errors are scaled first, because the square of a tiny or huge one is lost."""
    errors = np.abs(predictions - target)
    largest = float(errors.max())
    return largest * math.sqrt(float(np.mean((errors / largest) ** 2))) if largest else 0.0


def _r2(target: Values, predictions: Values) -> float:
    """Return R² of both in units of the targets' spread, in which no square is lost."""
    centre = float(target.mean())
    spread = float(np.abs(target - centre).max()) or 1.0
    scaled = (predictions - centre) / spread
    if not math.isfinite(spread) or not np.isfinite(scaled).all():
        return math.nan
    return float(metrics.r2_score((target - centre) / spread, scaled))


def _class_codes(predictions: Values) -> list[int]:
    return list(range(predictions.shape[1] if predictions.ndim == 2 else 2))


# Of predictions (n,), or of several classes (n, n_classes).
METRIC_FUNCTIONS: Mapping[str, MetricFunction] = {
    "roc_auc": _area_under_roc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "matthews_corrcoef": _matthews,
    "precision_macro": _macro(metrics.precision_score),
    "recall_macro": _macro(metrics.recall_score),
    "f1_macro": _macro(metrics.f1_score),
    "brier": _brier,
    "rmse": _root_mean_squared_error,
    "mae": _mean_absolute_error,
    "r2": _r2,
    "mape": lambda target, predictions: float(np.mean(relative_errors(target, predictions))),
    "median_absolute_error": lambda target, predictions: float(
        np.median(absolute_errors(target, predictions))
    ),
    "max_error": lambda target, predictions: float(np.max(absolute_errors(target, predictions))),
}


def metric_function(metric: str) -> MetricFunction:
    """Return the function of target (n,) and predictions (n,) or (n, n_classes) that a metric is."""
    if is_own(metric):
        return partial(measure_own, metric)
    name, number = split_metric(metric)
    if number is not None and name == "top_k_accuracy":
        k = int(number)
        return lambda target, predictions: float(is_among_top(target, predictions, k).mean())
    if number is not None and name == "quantile_loss":
        return lambda target, predictions: float(quantile_losses(target, predictions, number).mean())
    if name not in DECISION_METRICS:
        return METRIC_FUNCTIONS[name]

    def measure(target: Values, predictions: Values) -> float:
        if predictions.ndim > 1:
            return METRIC_FUNCTIONS[name](target, predictions)
        counts = count_decisions(target, predictions, threshold_of(metric)).sum(axis=1, keepdims=True)
        return float(DECISION_METRICS[name](counts)[0])

    return measure
