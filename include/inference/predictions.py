"""Checks of a model's predictions before they are sent to a caller."""

from __future__ import annotations

import numpy as np

from include.declarations.base import INTERNAL_PREFIX
from include.errors import AirworthyError

# Columns of batch predictions.
PREDICTION = f"{INTERNAL_PREFIX}prediction"
VERSION = f"{INTERNAL_PREFIX}version"
# Prefix of the columns of the classes' probabilities.
PROBABILITY = f"{INTERNAL_PREFIX}probability_"

# Largest accepted difference between 1 and the sum of a row's probabilities.
PROBABILITY_TOLERANCE = 1e-6

Predictions = list[float] | list[list[float]]


class InvalidPrediction(AirworthyError):
    """The output of the model is not a valid prediction."""


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
    if predictions.size and not (low <= predictions.min() and predictions.max() <= high):
        raise InvalidPrediction(
            f"the model predicted {predictions.min():g}…{predictions.max():g}, outside of {low:g}…{high:g}"
        )
    if n_classes and np.abs(predictions.sum(axis=1) - 1).max(initial=0) > PROBABILITY_TOLERANCE:
        raise InvalidPrediction("the model predicted probabilities that do not add up to 1")
    response: Predictions = predictions.tolist()
    return response
