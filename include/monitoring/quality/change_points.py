"""Days on which the loss changed for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

# A day with fewer labels has no mean, and fewer days on one side of a change say nothing.
MIN_ROWS = 20
MIN_DAYS = 4
# Probability that a change is found in a series without any.
FALSE_ALARM_RATE = 0.01
N_PERMUTATIONS = 1_999
SEED = 20_130_701


def find_change_points(losses: Values, days: npt.NDArray[np.datetime64]) -> list[dict[str, Any]]:
    """
    Return the changes of the mean daily loss, in order of time.

    The largest deviation of the cumulative sum from a straight line (Page 1954) is compared with those of
    permuted days (Taylor 2000), and the parts before and after a change are searched in the same way (binary
    segmentation, Vostrikova 1981), each with half of the false-alarm rate. Days must not depend on each
    other.

    Parameters
    ----------
    losses
        Loss of each row, (n,).
    days
        Day of each row, (n,).

    Returns
    -------
    list of dict
        `day` (ISO 8601), the first one after the change; `before` and `after`, the means of the days since
        the change before and until the next one; `p_value`.
    """
    counted = pd.Series(losses).groupby(pd.Series(days)).agg(["mean", "size"])
    daily = counted.loc[counted["size"] >= MIN_ROWS, "mean"].sort_index()
    values = daily.to_numpy(dtype=np.float64)
    changes = sorted(_segment(values, 0, FALSE_ALARM_RATE, np.random.default_rng(SEED)))
    bounds = [0, *(position for position, _ in changes), len(values)]
    return [
        {
            "day": f"{pd.Timestamp(daily.index[position]):%Y-%m-%d}",
            "before": float(values[bounds[number] : position].mean()),
            "after": float(values[position : bounds[number + 2]].mean()),
            "p_value": p_value,
        }
        for number, (position, p_value) in enumerate(changes)
    ]


def _segment(
    values: Values, start: int, alpha: float, random: np.random.Generator
) -> list[tuple[int, float]]:
    """Return positions, from `start` on, and p-values of the changes."""
    if len(values) < 2 * MIN_DAYS or np.ptp(values) == 0:
        return []
    deviations = _deviations(values[None, :])[0]
    position = int(deviations.argmax()) + MIN_DAYS
    permuted = random.permuted(np.tile(values, (N_PERMUTATIONS, 1)), axis=1)
    extremes = _deviations(permuted).max(axis=1)
    p_value = float((1 + np.sum(extremes >= deviations.max())) / (1 + N_PERMUTATIONS))
    if p_value > alpha:
        return []
    before = _segment(values[:position], start, alpha / 2, random)
    after = _segment(values[position:], start + position, alpha / 2, random)
    return [*before, (start + position, p_value), *after]


def _deviations(series: Values) -> Values:
    """Return the scaled difference of the means before and after each possible change, (k, n_positions)."""
    n = series.shape[1]
    sizes = np.arange(MIN_DAYS, n - MIN_DAYS + 1)
    sums = np.cumsum(series - series.mean(axis=1, keepdims=True), axis=1)[:, sizes - 1]
    deviations: Values = np.abs(sums) / np.sqrt(sizes * (n - sizes) / n)
    return deviations
