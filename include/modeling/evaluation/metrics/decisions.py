"""Metrics of binary decisions, as functions of four counts of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]


def count_decisions(target: Values, predictions: Values, threshold: float) -> Values:
    """
    Return what each row counts as, shape (4, n): a hit, selected, positive, and a row.

    Parameters
    ----------
    target : array of float, shape (n,)
        1 for the positive class.
    predictions : array of float, shape (n,)
    threshold : float
        Probability from which a row is selected.
    """
    is_selected = predictions >= threshold
    is_positive = target == 1
    counts = (is_selected & is_positive, is_selected, is_positive, np.ones(len(target)))
    return np.stack(counts).astype(np.float64)


def divide(part: Values, whole: Values) -> Values:
    """Return the quotients, NaN where the divisor is not above 0."""
    quotients: Values = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return quotients


def matthews(covariance: Values, spread_of_decisions: Values, spread_of_target: Values) -> Values:
    """Return the correlation: 0 where all decisions are the same, NaN where all targets are."""
    correlation = divide(covariance, np.sqrt(spread_of_decisions) * np.sqrt(spread_of_target))
    return np.where((spread_of_decisions <= 0) & (spread_of_target > 0), 0.0, correlation)


def _accuracy_of_counts(counts: Values) -> Values:
    hits, selected, positive, rows = counts
    return divide(rows - selected - positive + 2 * hits, rows)


def _balanced_accuracy_of_counts(counts: Values) -> Values:
    hits, selected, positive, rows = counts
    negative = rows - positive
    return (divide(hits, positive) + divide(negative - selected + hits, negative)) / 2


def _matthews_of_counts(counts: Values) -> Values:
    hits, selected, positive, rows = counts
    return matthews(
        rows * hits - selected * positive, selected * (rows - selected), positive * (rows - positive)
    )


# Each of counts (4, k), as of `count_decisions`, to (k,).
DECISION_METRICS: Mapping[str, Callable[[Values], Values]] = {
    "accuracy": _accuracy_of_counts,
    "balanced_accuracy": _balanced_accuracy_of_counts,
    "precision": lambda counts: divide(counts[0], counts[1]),
    "recall": lambda counts: divide(counts[0], counts[2]),
    "f1": lambda counts: divide(2 * counts[0], counts[1] + counts[2]),
    "matthews_corrcoef": _matthews_of_counts,
}
