"""Metrics of predictions, as scikit-learn defines them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics

from include.declarations import GREATER_IS_BETTER, METRICS
from include.errors import DataError, ModelError
from include.inference.predictions import raw_predictions, round_probabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    import pandas as pd

    from include.declarations import Metric, Task, UseCase

    Values = npt.NDArray[np.float64]


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


def _accuracy(target: Values, predictions: Values) -> float:
    return float(np.mean(predictions.argmax(axis=1) == target))


def _balanced_accuracy(target: Values, predictions: Values) -> float:
    recall = metrics.recall_score(
        target, predictions.argmax(axis=1), average="macro", labels=np.unique(target), zero_division=0
    )
    return float(recall)


def _f1_macro(target: Values, predictions: Values) -> float:
    score = metrics.f1_score(
        target, predictions.argmax(axis=1), average="macro", labels=_class_codes(predictions), zero_division=0
    )
    return float(score)


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


METRIC_FUNCTIONS: Mapping[Metric, Callable[[Values, Values], float]] = {
    "roc_auc": _area_under_roc,
    "average_precision": metrics.average_precision_score,
    "log_loss": _log_loss,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "brier": _brier,
    "rmse": _root_mean_squared_error,
    "mae": _mean_absolute_error,
    "r2": _r2,
}
NEEDS_ALL_CLASSES: frozenset[Metric] = frozenset({"roc_auc", "average_precision"})


def predict(estimator: Any, task: Task, frame: pd.DataFrame) -> Values:
    """Return predictions of an estimator, of shape (n,) or of several classes (n, n_classes)."""
    return as_predictions(raw_predictions(estimator, task, frame), task)


def as_predictions(output: Any, task: Task) -> Values:
    """Return the output of an estimator as predictions: of a binary classifier the second column."""
    if task in {"regression", "anomaly"}:
        values = np.asarray(output, dtype=np.float64)
        return values.reshape(len(values))
    probabilities = round_probabilities(output)
    return probabilities if task == "multiclass" else probabilities[:, 1]


def compute_metrics(use_case: UseCase, predictions: Values, target: Values | pd.Series) -> dict[str, float]:
    """
    Return every metric of the use case's task that is defined on these rows.

    `undefined_metrics` says why one is not.

    Parameters
    ----------
    use_case : UseCase
    predictions : array of float, shape (n,) or (n, n_classes)
    target : array or Series, shape (n,)

    Raises
    ------
    DataError
        If there are no rows.
    ModelError
        If a prediction is not finite.
    """
    truth = np.asarray(target, dtype=np.float64)
    if not len(truth):
        raise DataError(f"{use_case.name}: there are no rows to measure. Look at the rows of the snapshot.")
    n_invalid = int(np.count_nonzero(~np.isfinite(predictions)))
    if n_invalid:
        raise ModelError(
            f"{use_case.name}: {n_invalid} of the predictions of {len(truth)} rows are not finite. "
            "Look at the estimator and at the rows of the snapshot."
        )
    undefined = undefined_metrics(use_case, predictions, truth)
    values: dict[str, float] = {}
    for metric in sorted(METRICS[use_case.task] - undefined.keys()):
        # The square of a huge number is infinite.
        with np.errstate(all="ignore"):
            value = float(METRIC_FUNCTIONS[metric](truth, predictions))
        if np.isfinite(value):
            values[metric] = value
    return values


def undefined_metrics(
    use_case: UseCase, predictions: Values, target: Values | pd.Series
) -> dict[Metric, str]:
    """
    Return why metrics are undefined on these rows, in words.

    Ranking metrics need rows of every class, R² two rows, and the log loss probabilities.

    Parameters
    ----------
    use_case : UseCase
    predictions : array of float, shape (n,) or (n, n_classes)
    target : array or Series, shape (n,)
    """
    truth = np.asarray(target, dtype=np.float64)
    reasons: dict[Metric, str] = {}
    absent = absent_classes(use_case, truth)
    if absent:
        reasons |= dict.fromkeys(NEEDS_ALL_CLASSES, f"none of the {len(truth)} rows is {', '.join(absent)}")
    if len(truth) < 2:
        reasons["r2"] = "there is a single row"
    # The gate prediction_range reports what is no probability.
    if use_case.task != "regression" and (predictions.min() < 0 or predictions.max() > 1):
        reasons["log_loss"] = (
            f"predictions lie in {predictions.min():.9g} to {predictions.max():.9g}, not in 0 to 1"
        )
    return {metric: reason for metric, reason in reasons.items() if metric in METRICS[use_case.task]}


def explain_undefined(use_case: UseCase, metric: Metric, predictions: Values, target: Values) -> str:
    """Return why a metric is undefined on these rows: a cause that is known, or that it is not finite."""
    reasons = undefined_metrics(use_case, predictions, target)
    return reasons.get(metric, "its value is no finite number: look at the largest targets and predictions")


def absent_classes(use_case: UseCase, target: Values | pd.Series) -> list[str]:
    """Return the names of the classes that none of the targets has; a regression has no classes."""
    codes = np.unique(np.asarray(target, dtype=np.float64))
    return [name for code, name in enumerate(use_case.class_names) if code not in codes]


def skill_score(metric: Metric, model: Mapping[str, float], baseline: Mapping[str, float]) -> float | None:
    """
    Return the model's share of the way from the baseline's metric to the perfect one.

    It is 1 for a perfect model and 0 for one as good as the baseline; None where it is undefined, or too
    large for a number.
    """
    if metric not in model or metric not in baseline:
        return None
    perfect = 1.0 if metric in GREATER_IS_BETTER else 0.0
    distance = perfect - baseline[metric]
    if not distance:
        return None
    skill = (model[metric] - baseline[metric]) / distance
    return skill if math.isfinite(skill) else None


def equal_count_bins(values: Values, n_bins: int) -> npt.NDArray[np.intp]:
    """Return the bin of each value, shape (n,): about equally many in each, equal values together."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    _, bins = np.unique(np.searchsorted(edges, values, "right"), return_inverse=True)
    return np.asarray(bins)
