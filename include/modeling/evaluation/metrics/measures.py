"""Measures of predictions: each metric that is defined on given rows, and why others are not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from include.declarations import is_greater_better
from include.declarations.metrics import is_own, split_metric, threshold_of
from include.errors import DataError, ModelError
from include.inference.predictions import raw_predictions, round_probabilities
from include.modeling.evaluation.metrics.functions import metric_function

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    import numpy.typing as npt
    import pandas as pd

    from include.declarations import Task, UseCase

    Values = npt.NDArray[np.float64]

# Undefined where a class is absent, and where the positive one is; precision_macro and f1_macro count 0 then.
NEED_ALL_CLASSES = frozenset({"roc_auc", "average_precision", "recall_macro"})
NEED_BOTH_CLASSES = NEED_ALL_CLASSES | {"balanced_accuracy", "matthews_corrcoef"}
NEED_POSITIVE_CLASS = frozenset({"recall", "f1"})


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


def compute_metrics(
    use_case: UseCase, predictions: Values, target: Values | pd.Series, *, only: Set[str] | None = None
) -> dict[str, float]:
    """
    Return every metric of the task, and each declared one, that is defined on these rows.

    `undefined_metrics` says why one is not.

    Parameters
    ----------
    use_case : UseCase
    predictions : array of float, shape (n,) or (n, n_classes)
    target : array or Series, shape (n,)
    only : set of str, optional
        The metrics that are needed; by default all.

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
    measured = use_case.measured_metrics if only is None else use_case.measured_metrics & only
    absent = absent_classes(use_case, truth)
    values: dict[str, float] = {}
    for metric in sorted(measured):
        if _why_undefined(use_case, metric, predictions, truth, absent):
            continue
        # The square of a huge number is infinite.
        with np.errstate(all="ignore"):
            value = float(metric_function(metric)(truth, predictions))
        if np.isfinite(value):
            values[metric] = value
    return values


def undefined_metrics(use_case: UseCase, predictions: Values, target: Values | pd.Series) -> dict[str, str]:
    """
    Return why metrics are undefined on these rows, in words.

    Ranking metrics need rows of every class, R² two rows, the log loss probabilities, precision a positive
    decision, and MAPE targets that are not 0.

    Parameters
    ----------
    use_case : UseCase
    predictions : array of float, shape (n,) or (n, n_classes)
    target : array or Series, shape (n,)
    """
    truth = np.asarray(target, dtype=np.float64)
    absent = absent_classes(use_case, truth)
    reasons = {
        metric: _why_undefined(use_case, metric, predictions, truth, absent)
        for metric in sorted(use_case.measured_metrics)
    }
    return {metric: reason for metric, reason in reasons.items() if reason}


def _why_undefined(
    use_case: UseCase, metric: str, predictions: Values, target: Values, absent: list[str]
) -> str:
    """Return why a metric is undefined on these rows, in which some classes are absent; "" if it is not."""
    lacking = _lacking_classes(use_case, metric, absent)
    if lacking:
        return f"none of the {len(target)} rows is {', '.join(lacking)}"
    name, _ = split_metric(metric)
    if name == "r2" and len(target) < 2:
        return "there is a single row"
    # The gate prediction_range reports what is no probability.
    if name == "log_loss" and (predictions.min() < 0 or predictions.max() > 1):
        return f"predictions lie in {predictions.min():.9g} to {predictions.max():.9g}, not in 0 to 1"
    if name == "precision" and not (predictions >= threshold_of(metric)).any():
        return f"none of the {len(target)} predictions reaches {threshold_of(metric):g}"
    n_zeros = int(np.count_nonzero(target == 0)) if name == "mape" else 0
    return f"{n_zeros} of the {len(target)} targets are 0" if n_zeros else ""


def _lacking_classes(use_case: UseCase, metric: str, absent: list[str]) -> list[str]:
    """Return those of the absent classes that a metric needs."""
    name, _ = split_metric(metric)
    is_binary = use_case.task == "binary"
    if name in (NEED_BOTH_CLASSES if is_binary else NEED_ALL_CLASSES):
        return absent
    if is_binary and name in NEED_POSITIVE_CLASS:
        return [absent_class for absent_class in absent if absent_class == use_case.class_names[1]]
    # All rows are of one class.
    return absent if name == "matthews_corrcoef" and len(absent) + 1 == len(use_case.class_names) else []


def explain_undefined(use_case: UseCase, metric: str, predictions: Values, target: Values) -> str:
    """Return why a metric is undefined on these rows: a cause that is known, or that it is not finite."""
    reasons = undefined_metrics(use_case, predictions, target)
    return reasons.get(metric, "its value is no finite number: look at the largest targets and predictions")


def absent_classes(use_case: UseCase, target: Values | pd.Series) -> list[str]:
    """Return the names of the classes that none of the targets has; a regression has no classes."""
    codes = np.unique(np.asarray(target, dtype=np.float64))
    return [name for code, name in enumerate(use_case.class_names) if code not in codes]


def skill_score(metric: str, model: Mapping[str, float], baseline: Mapping[str, float]) -> float | None:
    """
    Return the model's share of the way from the baseline's metric to the perfect one.

    It is 1 for a perfect model and 0 for one as good as the baseline; None where it is undefined, too large
    for a number, or of an own metric, whose perfect value is unknown.
    """
    if metric not in model or metric not in baseline or is_own(metric):
        return None
    perfect = 1.0 if is_greater_better(metric) else 0.0
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
