"""Figures of each row, of which a metric is the mean, the median or the largest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


def absolute_errors(target: Values, predictions: Values) -> Values:
    """Return the distance of each prediction from its target, shape (n,)."""
    return np.abs(predictions - target)


def relative_errors(target: Values, predictions: Values) -> Values:
    """Return the distance of each prediction as a share of its target, shape (n,); NaN of a target of 0."""
    shares: Values = np.full(len(target), np.nan)
    np.divide(absolute_errors(target, predictions), np.abs(target), out=shares, where=target != 0)
    return shares


def quantile_losses(target: Values, predictions: Values, quantile: float) -> Values:
    """Return the pinball loss of each row, shape (n,) (Koenker and Bassett 1978)."""
    errors = target - predictions
    return np.maximum(quantile * errors, (quantile - 1) * errors)


def is_among_top(target: Values, predictions: Values, k: int) -> Values:
    """Return 1.0 where the target is one of the `k` most probable classes, shape (n,)."""
    # Of equal probabilities the later class is first, as in scikit-learn.
    top = np.argsort(predictions, axis=1, kind="stable")[:, ::-1][:, :k]
    among: Values = (top == target[:, None]).any(axis=1).astype(np.float64)
    return among
