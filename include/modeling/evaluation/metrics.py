"""What a model is worth on rows it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import metrics

from include.declarations import METRICS
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    import pandas as pd

    from include.declarations import Metric, Task, UseCase

    Values = npt.NDArray[np.float64]

MEASURES: Mapping[Metric, Callable[[Values, Values], float]] = {
    "roc_auc": lambda target, predictions: _roc_auc(target, predictions),
    "average_precision": metrics.average_precision_score,
    "log_loss": lambda target, predictions: metrics.log_loss(
        target, predictions, labels=_classes(predictions)
    ),
    "accuracy": lambda target, predictions: float(np.mean(predictions.argmax(axis=1) == target)),
    "balanced_accuracy": lambda target, predictions: metrics.recall_score(
        target, predictions.argmax(axis=1), average="macro", labels=np.unique(target), zero_division=0
    ),
    "f1_macro": lambda target, predictions: metrics.f1_score(
        target, predictions.argmax(axis=1), average="macro", labels=_classes(predictions), zero_division=0
    ),
    "brier": lambda target, predictions: float(np.mean((predictions - target) ** 2)),
    "rmse": metrics.root_mean_squared_error,
    "mae": metrics.mean_absolute_error,
    "r2": metrics.r2_score,
}
NEEDS_ALL_CLASSES: frozenset[Metric] = frozenset({"roc_auc", "average_precision"})


def predict(estimator: Any, task: Task, frame: pd.DataFrame) -> Values:
    """Return one number a row, the probability of class 1 or the value; of several classes one for each."""
    answer = estimator.predict(frame) if task == "regression" else estimator.predict_proba(frame)
    return as_predictions(answer, task)


def as_predictions(answer: Any, task: Task) -> Values:
    """Return what an estimator answered as predictions: of two columns of probabilities the second."""
    values = np.asarray(answer, dtype=np.float64)
    if task == "multiclass":
        return values
    return values[:, 1] if task == "binary" else values.reshape(len(values))


def compute_metrics(use_case: UseCase, predictions: Values, target: Values | pd.Series) -> dict[str, float]:
    """
    Return every metric of the use case's task that is defined on these rows.

    Ranking metrics are left out when a class is not there, r2 when there are fewer than two rows,
    log_loss when an answer is no probability.

    :raises DataError: if there is no row, or a prediction is not a finite number
    """
    truth = np.asarray(target, dtype=np.float64)
    if not len(truth) or not np.isfinite(predictions).all():
        wrong = int(np.count_nonzero(~np.isfinite(predictions)))
        raise DataError(
            f"{use_case.name}: {wrong} of {len(truth)} predictions are not finite numbers; "
            "nothing can be measured. Look at the estimator and at the rows of the snapshot."
        )
    classes, one_row = len(use_case.label.classes) or 2, len(truth) < 2
    defined = METRICS[use_case.task]
    if len(np.unique(truth)) < classes:
        defined -= NEEDS_ALL_CLASSES
    if one_row:
        defined -= {"r2"}
    if use_case.task != "regression" and (predictions.min() < 0 or predictions.max() > 1):
        defined -= {"log_loss"}  # the gate prediction_range says so
    return {metric: float(MEASURES[metric](truth, predictions)) for metric in sorted(defined)}


def _classes(predictions: Values) -> list[int]:
    return list(range(predictions.shape[1] if predictions.ndim == 2 else 2))


def _roc_auc(target: Values, predictions: Values) -> float:
    """Of several classes the mean over each against all others."""
    if predictions.ndim == 1:
        return float(metrics.roc_auc_score(target, predictions))
    each = (metrics.roc_auc_score(target == place, predictions[:, place]) for place in _classes(predictions))
    return float(np.mean(list(each)))


def bins_of(answers: Values, count: int) -> np.ndarray:
    """Return the bin of each row: equally many rows in each, ties together."""
    edges = np.unique(np.quantile(answers, np.linspace(0, 1, count + 1)[1:-1]))
    _, bins = np.unique(np.searchsorted(edges, answers, "right"), return_inverse=True)
    return np.asarray(bins)
