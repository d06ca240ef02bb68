"""Constant predictions that a model must be better than, and the loss by which that is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.declarations.metrics import baseline_quantile, split_metric
from include.inference.predictions import PREDICTION
from include.modeling.evaluation.metrics import compute_metrics
from include.monitoring.windows import AT

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import UseCase

    Values = npt.NDArray[np.float64]
    DayNumbers = npt.NDArray[np.datetime64]
    # Share of each class, shape (n_classes,).
    Shares = npt.NDArray[np.float64]


def baseline_constant(use_case: UseCase, target: pd.Series) -> float | Shares:
    """
    Return the constant prediction with the smallest loss on the champion's training labels.

    It is the median for MAE, the quantile of a quantile loss, the mean for RMSE and binary classifiers, and
    for multiclass the share of each class, shape (n_classes,).
    """
    if use_case.task == "multiclass":
        n_classes = len(use_case.class_names)
        return np.bincount(target.astype("int64"), minlength=n_classes) / max(len(target), 1)
    quantile = baseline_quantile(use_case.metric)
    return float(target.mean() if quantile is None else target.quantile(quantile))


def constant_loss(use_case: UseCase, constant: float | Shares, target: Values) -> float:
    """Return the loss of a constant prediction on labels (n,)."""
    predictions = np.broadcast_to(constant, (len(target), *np.shape(constant)))
    name = loss_name(use_case)
    return compute_metrics(use_case, predictions, target, only={name})[name]


def row_losses(use_case: UseCase, predictions: Values, target: Values) -> Values:
    """Return the loss of each row, (n,), whose mean, or its square root, is that of `loss_name`."""
    if use_case.task == "multiclass":
        probabilities = predictions[np.arange(len(target)), target.astype(np.int64)]
        return np.asarray(-np.log(np.clip(probabilities, np.finfo(np.float64).eps, 1.0)))
    name, level = split_metric(loss_name(use_case))
    if name == "quantile_loss" and level is not None:
        return np.asarray(np.maximum(level * (target - predictions), (level - 1) * (target - predictions)))
    errors = np.abs(target - predictions)
    return np.asarray(errors if name == "mae" else errors**2)


def as_array(rows: pd.DataFrame) -> Values:
    """Return the predictions, (n,) or (n, n_classes)."""
    return np.asarray(rows[PREDICTION].tolist(), dtype=np.float64)


def days_of(rows: pd.DataFrame) -> DayNumbers | None:
    """Return the day of each row, by its partition or else by its request; None if neither is known."""
    column = next((name for name in (DAY, AT) if name in rows), None)
    if column is None:
        return None
    days: DayNumbers = pd.to_datetime(rows[column], utc=True).dt.floor("D").to_numpy()
    return days


def loss_name(use_case: UseCase) -> str:
    """Return the metric by which the skill of a use case is measured."""
    if use_case.task == "multiclass":
        return "log_loss"
    if use_case.task == "binary":
        return "brier"
    if split_metric(use_case.metric)[0] == "quantile_loss":
        return use_case.metric
    return "rmse" if baseline_quantile(use_case.metric) is None else "mae"
