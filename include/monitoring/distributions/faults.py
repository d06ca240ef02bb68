"""Shifts that look like a fault of the data: another unit, a renamed category, a stuck value, gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import fisher_exact

from include.monitoring.distributions.counts import NumberCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from include.monitoring.distributions.counts import CategoryCounts, Integers, Numbers, Sides
    from include.monitoring.distributions.shifts import Shift

# Factor and summand of each conversion; each is tried in both directions.
CONVERSIONS: dict[tuple[str, str], tuple[float, float]] = {
    ("miles", "kilometres"): (1.609344, 0.0),
    ("feet", "metres"): (0.3048, 0.0),
    ("inches", "centimetres"): (2.54, 0.0),
    ("pounds", "kilograms"): (0.45359237, 0.0),
    ("knots", "km/h"): (1.852, 0.0),
    ("mph", "m/s"): (0.44704, 0.0),
    ("inHg", "hPa"): (33.8639, 0.0),
    ("degrees Fahrenheit", "degrees Celsius"): (5 / 9, -160 / 9),
    ("degrees Celsius", "kelvin"): (1.0, 273.15),
    ("hours", "minutes"): (60.0, 0.0),
    ("hours", "seconds"): (3_600.0, 0.0),
    ("days", "hours"): (24.0, 0.0),
    ("x", "10 x"): (10.0, 0.0),
    ("x", "100 x"): (100.0, 0.0),
    ("x", "1,000 x"): (1_000.0, 0.0),
    ("x", "-x"): (-1.0, 0.0),
}
N_QUANTILES = 200
# A conversion explains a shift if what remains is small, besides what chance leaves of few rows, and a small
# part of the shift; distances are in standard deviations.
MAX_REMAINDER = 0.1
MAX_REMAINING_SHARE = 0.2
# More of the values are missing than a change of the world explains.
MIN_MISSING = 0.2
# A category can have vanished only if so many rows of it were to be expected.
MIN_EXPECTED_ROWS = 10
# Probability below which two categories have different shares.
ALPHA = 0.01
MAX_NAMES = 3


def find_fault(sides: Sides, certain: Sequence[Shift], *, may_be_constant: Callable[[], bool] = bool) -> str:
    """
    Return what looks like a fault of a column that shifted; empty if it may be a change of the world.

    Parameters
    ----------
    certain
        The shifts of the column that matter and are no coincidence.
    may_be_constant
        Returns whether there are days on which the column has a single value.
    """
    kinds = {shift.kind: shift.effect for shift in certain}
    before, now = (part / max(rows, 1) for part, rows in zip(sides.unusable, sides.rows, strict=True))
    if kinds.get("missing", 0.0) >= MIN_MISSING and now > before:
        return f"missing values: {now:.0%}, before {before:.0%}"
    counts = sides.counts
    if not kinds.keys() & {"values", "unseen"} or not counts.current.sum():
        return ""
    if np.count_nonzero(counts.current) == 1 and np.count_nonzero(counts.reference) > 1:
        return "" if may_be_constant() else "stuck: all values are the same"
    if isinstance(counts, NumberCounts):
        return _find_conversion(counts)
    return _find_renaming(counts)


def _find_conversion(counts: NumberCounts) -> str:
    """Return the conversion that explains the shift best, of those that explain it."""
    old = _quantiles(counts.values, counts.reference)
    new = _quantiles(counts.values, counts.current)
    shift = _distance(old, new)
    remainders: dict[str, float] = {}
    for (name, other), (factor, summand) in CONVERSIONS.items():
        remainders[f"{name} became {other}"] = _distance(np.sort(old * factor + summand), new)
        remainders[f"{other} became {name}"] = _distance(np.sort((old - summand) / factor), new)
    conversion = min(remainders, key=lambda name: remainders[name])
    chance = 1 / np.sqrt(min(counts.reference.sum(), counts.current.sum()))
    limit = min(MAX_REMAINDER + chance, MAX_REMAINING_SHARE * shift)
    is_explained = remainders[conversion] <= limit
    return f"unit change: as if {conversion}" if is_explained else ""


def _quantiles(values: Numbers, rows: Integers) -> Numbers:
    """Return the quantiles of values with these numbers of rows, (N_QUANTILES,)."""
    shares = np.cumsum(rows) / rows.sum()
    levels = (np.arange(N_QUANTILES) + 0.5) / N_QUANTILES
    quantiles: Numbers = values[np.minimum(np.searchsorted(shares, levels), len(values) - 1)]
    return quantiles


def _distance(old: Numbers, new: Numbers) -> float:
    """Return the Wasserstein distance in standard deviations of `old`; 0 / 0 is infinite."""
    deviation = float(np.std(old))
    return float(np.mean(np.abs(old - new))) / deviation if deviation > 0 else float("inf")


def _find_renaming(counts: CategoryCounts) -> str:
    """Return the categories that vanished while a new one came with the same share."""
    n_old = int(counts.reference.sum())
    n_new = int(counts.current.sum())
    expected = counts.reference * n_new / max(n_old, 1)
    vanished = list(np.flatnonzero((counts.current == 0) & (expected >= MIN_EXPECTED_ROWS)))
    new = np.flatnonzero((counts.reference == 0) & (counts.current >= MIN_EXPECTED_ROWS))
    pairs = []
    for code in sorted(new, key=lambda code: -counts.current[code]):
        rows = int(counts.current[code])
        alike = {
            old: float(
                fisher_exact(
                    [[rows, n_new - rows], [counts.reference[old], n_old - counts.reference[old]]]
                ).pvalue
            )
            for old in vanished
        }
        if alike and max(alike.values()) >= ALPHA:
            old = max(alike, key=lambda old: alike[old])
            vanished.remove(old)
            pairs.append(f"{counts.categories[old]} became {counts.categories[code]}")
    return f"renamed category: {', '.join(pairs[:MAX_NAMES])}" if pairs else ""
