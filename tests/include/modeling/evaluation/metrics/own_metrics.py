"""Own metrics for tests."""

from __future__ import annotations

import numpy as np


def weighted_error(target, predictions, weights):
    """Return the mean absolute error of weighted rows."""
    return float(np.average(np.abs(target - predictions), weights=weights))


weighted_error.greater_is_better = False


def hits(target, predictions, weights):
    """Return the weighted share of right decisions; undefined without a positive row."""
    if not (target == 1).any():
        return float("nan")
    return float(np.average((predictions >= 0.5) == (target == 1), weights=weights))


hits.greater_is_better = True


def failing(target, predictions, weights):
    """Raise."""
    raise KeyError("column")


failing.greater_is_better = True


def wordy(target, predictions, weights):
    """Return no number."""
    return "good"


wordy.greater_is_better = True


def aimless(target, predictions, weights):
    """Have no direction."""
    return 0.0


def unweighted(target, predictions):
    """Have too few parameters."""
    return 0.0


NUMBER = 3
