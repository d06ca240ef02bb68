"""Checks of a model's predictions, and what is rounding in them: the same in training, gates and serving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.declarations.base import INTERNAL_PREFIX
from include.errors import AirworthyError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

# Columns of batch predictions.
PREDICTION = f"{INTERNAL_PREFIX}prediction"
DECISION = f"{INTERNAL_PREFIX}decision"
VERSION = f"{INTERNAL_PREFIX}version"
# Prefix of the columns of the classes' probabilities.
PROBABILITY = f"{INTERNAL_PREFIX}probability_"

# Largest accepted difference between 1 and the sum of a row's probabilities in double precision.
PROBABILITY_TOLERANCE = 1e-6
# Roundings that may add up in one prediction, in units of the last place: a forest sums up its trees.
MAX_ROUNDINGS = 1_000
# Half precision is never that exact.
MAX_PROBABILITY_TOLERANCE = 0.01
# Difference of two computations of the same predictions that is rounding, as a part of the largest one.
MAX_RELATIVE_GAP = 1e-9
# The same of a model that computes in single precision: roundings depend on the other rows of a batch.
MAX_SINGLE_GAP = 1e-5
# Part of a declared bound by which a prediction may pass it: what a bound loses in single precision.
BOUND_TOLERANCE = 1e-6

# An anomaly score above it flags the row.
FLAGGED_ABOVE = 0.0

Predictions = list[float] | list[list[float]]


class InvalidPrediction(AirworthyError):
    """The output of the model is not a valid prediction."""


def raw_predictions(estimator: Any, task: str, rows: pd.DataFrame) -> npt.NDArray[Any]:
    """
    Return what the estimator answers for a task, in its own precision.

    It is `predict` of a regression, `predict_proba` of a classifier, and of an anomaly task the negative of
    `decision_function`, so that the greater value is the greater anomaly.
    """
    if task == "regression":
        return np.asarray(estimator.predict(rows))
    if task == "anomaly":
        return -np.asarray(estimator.decision_function(rows))
    return np.asarray(estimator.predict_proba(rows))


def prediction_method(task: str) -> str:
    """Return the method of an estimator that a task uses."""
    return {"regression": "predict", "anomaly": "decision_function"}.get(task, "predict_proba")


def probability_tolerance(dtype: npt.DTypeLike) -> float:
    """Return by how much probabilities of this precision may leave 0 to 1, and their sum 1, by rounding."""
    precision = np.dtype(dtype)
    if not np.issubdtype(precision, np.floating):
        return PROBABILITY_TOLERANCE
    rounding = min(MAX_ROUNDINGS * float(np.finfo(precision).eps), MAX_PROBABILITY_TOLERANCE)
    return max(PROBABILITY_TOLERANCE, rounding)


def round_probabilities(probabilities: Any) -> npt.NDArray[np.float64]:
    """
    Return probabilities in double precision without the rounding errors of their own precision.

    Rows whose values lie in 0 to 1 and add up to 1, both within `probability_tolerance`, are bounded to
    0 to 1; those of a lower precision than double add up to 1 then. All other rows are returned unchanged,
    so that the checks of predictions find them.

    Parameters
    ----------
    probabilities
        Output of `predict_proba`, shape (n, n_classes), in any precision.
    """
    output = np.asarray(probabilities)
    values = np.asarray(output, dtype=np.float64)
    if values.ndim != 2 or not values.size:
        return values
    tolerance = probability_tolerance(output.dtype)
    is_bounded = ((values >= -tolerance) & (values <= 1 + tolerance)).all(axis=1)
    is_rounded = is_bounded & (np.abs(values.sum(axis=1) - 1) <= tolerance)
    bounded = np.clip(values, 0.0, 1.0)
    if tolerance > PROBABILITY_TOLERANCE:
        totals = bounded.sum(axis=1, keepdims=True)
        bounded = np.divide(bounded, totals, out=bounded, where=totals > 0)
    return np.where(is_rounded[:, None], bounded, values)


def outside_range(
    predictions: npt.NDArray[np.float64], valid_range: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """
    Return which predictions are outside the declared range, of the shape of `predictions`.

    A prediction may pass a bound by `BOUND_TOLERANCE` of it: 0.1 in single precision is 0.1000000015.
    """
    low, high = valid_range
    lowest = low - BOUND_TOLERANCE * abs(low)
    highest = high + BOUND_TOLERANCE * abs(high)
    # Negated, so that NaN is outside.
    return np.asarray(~((predictions >= lowest) & (predictions <= highest)))


def prediction_gap(
    expected: npt.NDArray[np.float64], predictions: npt.NDArray[np.float64], *, allowed: float | None = None
) -> tuple[float, float]:
    """
    Return the largest difference of two predictions of the same rows, and the difference that is rounding.

    Parameters
    ----------
    expected, predictions
        Shape (n,) or (n, n_classes).
    allowed
        Difference that was declared, in the unit of the predictions; by default `MAX_RELATIVE_GAP` of the
        largest expected number.

    Returns
    -------
    tuple of float
        The first is the largest float if the shapes differ or a prediction is not finite.
    """
    if allowed is None:
        allowed = MAX_RELATIVE_GAP * float(np.abs(expected).max(initial=0.0))
    if predictions.shape != expected.shape or not np.isfinite(predictions).all():
        return float(np.finfo(np.float64).max), allowed
    with np.errstate(over="ignore"):
        gap = float(np.abs(predictions - expected).max(initial=0.0))
    return min(gap, float(np.finfo(np.float64).max)), allowed


def validate_predictions(
    predictions: np.ndarray, n_rows: int, valid_range: tuple[float, float], *, n_classes: int = 0
) -> Predictions:
    """
    Return the predictions of one request as lists.

    Parameters
    ----------
    predictions
        Float array of shape (n_rows,), or (n_rows, n_classes) of probabilities if `n_classes` > 0.
    n_rows
        Number of rows of the request.
    valid_range
        Smallest and largest valid prediction.
    n_classes
        Number of classes of a multiclass model; 0 for all other models.

    Raises
    ------
    InvalidPrediction
        If the shape is wrong, a value is not finite or outside of the range, or the probabilities of a
        row do not add up to 1.
    """
    expected_shape = (n_rows, n_classes) if n_classes else (n_rows,)
    if predictions.shape != expected_shape:
        raise InvalidPrediction(f"the model returned an array of shape {predictions.shape} for {n_rows} rows")
    if not np.isfinite(predictions).all():
        raise InvalidPrediction("the model predicted a value that is not a finite number")
    low, high = valid_range
    if outside_range(predictions, valid_range).any():
        raise InvalidPrediction(
            f"the model predicted {predictions.min():.9g}…{predictions.max():.9g}, "
            f"outside of {low:g}…{high:g}"
        )
    if n_classes and np.abs(predictions.sum(axis=1) - 1).max(initial=0) > PROBABILITY_TOLERANCE:
        raise InvalidPrediction("the model predicted probabilities that do not add up to 1")
    response: Predictions = predictions.tolist()
    return response
