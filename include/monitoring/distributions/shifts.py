"""Shifts of one column: how far its values, lengths and gaps are apart, and whether chance explains that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import betabinom, binom, chi2, norm

from include.monitoring.distributions.counts import CategoryCounts, NumberCounts

if TYPE_CHECKING:
    from include.monitoring.distributions.counts import Integers, Numbers, Sides

    ShiftKind = Literal["values", "unseen", "length", "missing"]

# Chi-squared needs this many expected rows in each cell of the smaller sample; rarer ones are one cell.
MIN_EXPECTED_ROWS = 5
# Smallest standard deviation that distances are divided by; of lengths, one character.
MIN_DEVIATION = 0.001
MIN_LENGTH_DEVIATION = 1.0
# Effects that matter, whatever the number of rows. The first is Evidently's default for both distances.
MIN_EFFECTS: dict[ShiftKind, float] = {"values": 0.1, "unseen": 0.02, "length": 0.1, "missing": 0.05}


class Shift(NamedTuple):
    """
    One way in which a column may differ.

    Attributes
    ----------
    kind : str
    effect : float
        `values`, `length`: the Wasserstein distance in standard deviations of the reference, or the
        Jensen-Shannon distance of categories. `unseen`: the share of rows with a category that the reference
        lacks, beyond what is to be expected. `missing`: the difference of the shares of unusable values.
    p_value : float
        Probability of an effect at least as large, if rows are independent and nothing has changed.
    """

    kind: ShiftKind
    effect: float
    p_value: float

    @property
    def matters(self) -> bool:
        """True if the effect is large enough to matter, be it by chance or not."""
        return self.effect >= MIN_EFFECTS[self.kind]


def measure_shifts(sides: Sides, *, is_text: bool = False) -> list[Shift]:
    """
    Return the shifts of a column; without usable values on a side, only that of the missing ones.

    Parameters
    ----------
    sides
        Counts of the column.
    is_text
        Whether the lengths of the values are compared too.
    """
    shifts = [_missing_shift(sides)]
    counts = sides.counts
    if not counts.reference.sum() or not counts.current.sum():
        return shifts
    if isinstance(counts, NumberCounts):
        effect, p_value = _distance_of_numbers(counts, MIN_DEVIATION)
        return [Shift("values", effect, min(1.0, 2 * min(p_value, _outside_p_value(counts)))), *shifts]
    shifts = [_category_shift(counts), _unseen_shift(counts), *shifts]
    if is_text:
        shifts.append(Shift("length", *_distance_of_numbers(_lengths(counts), MIN_LENGTH_DEVIATION)))
    return shifts


def _missing_shift(sides: Sides) -> Shift:
    """Return the difference of the shares, with the test of two proportions."""
    rows = np.maximum(sides.rows, 1)
    shares = np.divide(sides.unusable, rows)
    # A column that one side lacks is missing in all of its rows.
    effect = float(abs(shares[1] - shares[0]))
    pooled = sum(sides.unusable) / max(sum(sides.rows), 1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / rows).sum())
    p_value = float(2 * norm.sf(effect / error)) if error > 0 else 1.0
    return Shift("missing", effect, p_value)


def _distance_of_numbers(counts: NumberCounts, minimum_deviation: float) -> tuple[float, float]:
    """Return the Wasserstein distance in standard deviations, and Kolmogorov and Smirnov's p-value."""
    n_old = counts.reference.sum()
    n_new = counts.current.sum()
    gap = np.abs(np.cumsum(counts.reference) / n_old - np.cumsum(counts.current) / n_new)
    distance = float(np.sum(gap[:-1] * np.diff(counts.values)))
    p_value = float(kolmogorov(np.sqrt(n_old * n_new / (n_old + n_new)) * gap.max()))
    return distance / max(counts.deviation, minimum_deviation), p_value


def _outside_p_value(counts: NumberCounts) -> float:
    """
    Return the probability of as many current values outside of the reference's range.

    Their number is beta-binomial whatever the distribution is (Wilks 1941). Kolmogorov and Smirnov's test is
    blind to few values far away.
    """
    observed = np.flatnonzero(counts.reference)
    outside = counts.current[: observed[0]].sum() + counts.current[observed[-1] + 1 :].sum()
    n_old = int(counts.reference.sum())
    if not outside or n_old < 2:
        return 1.0
    return float(betabinom.sf(outside - 1, int(counts.current.sum()), 2, n_old - 1))


def _category_shift(counts: CategoryCounts) -> Shift:
    """
    Return the Jensen-Shannon distance, and the p-value of chi-squared.

    Rare and unseen categories are one cell. The distance that chance alone is expected to give is taken off
    its square: (cells - 1) (1/n + 1/m) / 8.
    """
    old, new = _pool_rare(counts)
    if len(old) < 2:
        return Shift("values", 0.0, 1.0)
    n_old = old.sum()
    n_new = new.sum()
    expected = (old + new) / (n_old + n_new)
    statistic = sum(
        ((side - n * expected) ** 2 / (n * expected)).sum() for side, n in ((old, n_old), (new, n_new))
    )
    middle = (old / n_old + new / n_new) / 2
    divergence = (_relative_entropy(old / n_old, middle) + _relative_entropy(new / n_new, middle)) / 2
    chance = (len(old) - 1) * (1 / n_old + 1 / n_new) / 8
    distance = float(np.sqrt(max(divergence - chance, 0.0)))
    return Shift("values", distance, float(chi2.sf(statistic, len(old) - 1)))


def _pool_rare(counts: CategoryCounts) -> tuple[Integers, Integers]:
    """Return the rows of frequent categories, and last those of all others together."""
    both = counts.reference + counts.current
    n_smaller = min(counts.reference.sum(), counts.current.sum())
    is_frequent = both * n_smaller >= MIN_EXPECTED_ROWS * both.sum()
    old, new = (
        np.append(side[is_frequent], side[~is_frequent].sum()) for side in (counts.reference, counts.current)
    )
    is_used = (old + new) > 0
    return old[is_used], new[is_used]


def _relative_entropy(shares: Numbers, middle: Numbers) -> float:
    is_positive = shares > 0
    return float(np.sum(shares[is_positive] * np.log(shares[is_positive] / middle[is_positive])))


def _unseen_shift(counts: CategoryCounts) -> Shift:
    """
    Return the share of rows with unseen categories, beyond the expected share.

    The expected share is that of the categories that occur once in the reference (Good 1953): of identifiers,
    which are always new, it is 1. Both numbers are taken as Poisson counts and compared by the conditional
    binomial test.
    """
    n_old = int(counts.reference.sum())
    n_new = int(counts.current.sum())
    expected = int(np.sum(counts.reference == 1)) + 1
    unseen = int(counts.current[counts.reference == 0].sum())
    effect = max(unseen / n_new - expected / n_old, 0.0)
    p_value = float(binom.sf(unseen - 1, unseen + expected, n_new / (n_old + n_new)))
    return Shift("unseen", effect, p_value)


def _lengths(counts: CategoryCounts) -> NumberCounts:
    """Return the same rows counted by the number of characters."""
    lengths = np.array([len(category) for category in counts.categories], dtype=np.int64)
    old, new = (np.bincount(lengths, side).astype(np.int64) for side in (counts.reference, counts.current))
    values = np.arange(len(old), dtype=np.float64)
    mean = float(np.average(values, weights=old))
    deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=old)))
    return NumberCounts(values, old, new, deviation)
