"""
Estimate of the quality of a classifier before its labels land, from the probabilities that it gave.

Confidence-based performance estimation: with calibrated probabilities, the expected number of right answers
follows from the predictions alone (Garg, Balakrishnan, Lipton, Neyshabur and Sedghi 2022; NannyML's CBPE). It
holds under covariate shift and is blind to concept drift. NannyML itself requires Jinja2 < 3.1, which Airflow
does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.declarations.metrics import DEFAULT_THRESHOLD, split_metric

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import UseCase

    Values = npt.NDArray[np.float64]

# Fewer labels do not calibrate better than the training did.
MIN_CALIBRATION_ROWS = 500
# As scikit-learn clips probabilities.
EPSILON = float(np.finfo(np.float64).eps)


def estimate_quality(
    use_case: UseCase, predictions: Values, calibration: tuple[Values, Values] | None = None
) -> dict[str, float]:
    """
    Return the expected metrics of predictions without labels; empty for tasks without probabilities.

    Parameters
    ----------
    use_case
        A binary or multiclass use case.
    predictions
        Probabilities, (n,) or (n, n_classes).
    calibration
        Predictions and labels (m,) of earlier rows, by which the probabilities of a binary task are
        calibrated (isotonic regression) if there are at least 500 with both classes.

    Returns
    -------
    dict of str to float
        `log_loss` and `accuracy`; of a binary task also `roc_auc` and `brier`. `accuracy` of a binary task
        has the threshold of `use_case.metric`, else 0.5.
    """
    if not len(predictions):
        return {}
    if use_case.task == "multiclass":
        return _estimate_multiclass(predictions)
    if use_case.task != "binary":
        return {}
    chances = _calibrate(predictions, calibration)
    name, number = split_metric(use_case.metric)
    threshold = DEFAULT_THRESHOLD if number is None or name != "accuracy" else number
    bounded: Values = np.clip(predictions, EPSILON, 1 - EPSILON)
    right = np.where(predictions >= threshold, chances, 1 - chances)
    figures: dict[str, Any] = {
        "log_loss": -np.mean(chances * np.log(bounded) + (1 - chances) * np.log1p(-bounded)),
        "brier": np.mean(chances * (1 - predictions) ** 2 + (1 - chances) * predictions**2),
        "accuracy": np.mean(right),
        "roc_auc": _expected_auc(predictions, chances),
    }
    return {metric: float(value) for metric, value in figures.items() if np.isfinite(value)}


def _estimate_multiclass(predictions: Values) -> dict[str, float]:
    bounded = np.clip(predictions, EPSILON, 1.0)
    log_loss = -np.mean(np.sum(predictions * np.log(bounded), axis=1))
    return {"log_loss": float(log_loss), "accuracy": float(np.mean(predictions.max(axis=1)))}


def _calibrate(predictions: Values, calibration: tuple[Values, Values] | None) -> Values:
    if calibration is None or len(calibration[1]) < MIN_CALIBRATION_ROWS or np.ptp(calibration[1]) == 0:
        return predictions
    from sklearn.isotonic import IsotonicRegression

    regression = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(*calibration)
    chances: Values = regression.predict(predictions)
    return chances


def _expected_auc(predictions: Values, chances: Values) -> float:
    """Return the expected share of pairs of both classes in the right order; ties count half."""
    _, codes = np.unique(predictions, return_inverse=True)
    positives = np.bincount(codes, chances)
    negatives = np.bincount(codes, 1 - chances)
    pairs = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives
    return float(np.sum(positives * (below + negatives / 2)) / pairs) if pairs > 0 else float("nan")
