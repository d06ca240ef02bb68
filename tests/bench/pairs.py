"""Two sides measured in many short pairs, and the interval of the median of their differences or ratios."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from statistics import median
from typing import TYPE_CHECKING, TypeVar

from include.errors import AirworthyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
Value = TypeVar("Value")


class Noise(AirworthyError):
    """The spread of a measurement is too large for a figure."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the interval that covers the true one with `CONFIDENCE` or more."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def measure_pairs(
    first: Callable[[], Value], second: Callable[[], Value], pairs: int
) -> list[tuple[Value, Value]]:
    """Return values of both sides; which of them is measured first changes from pair to pair."""
    values = []
    for number in range(pairs):
        if number % 2:
            later = second()
            values.append((first(), later))
        else:
            earlier = first()
            values.append((earlier, second()))
    return values


def spread(values: Sequence[float]) -> Spread:
    """
    Return the median with its distribution-free interval from order statistics.

    Raises
    ------
    Noise
        If there are too few values for an interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    outside = 0.0
    skipped = 0
    # The number of values below the true median is binomial.
    while outside + comb(n, skipped) / 2**n <= (1 - CONFIDENCE) / 2:
        outside += comb(n, skipped) / 2**n
        skipped += 1
    if not skipped:
        raise Noise(f"{n} pairs are too few for an interval")
    return Spread(median(ordered), ordered[skipped - 1], ordered[n - skipped])


def require_signal(name: str, values: Sequence[float], *, allowed: float) -> Spread:
    """
    Return the median of a measurement with its interval.

    Raises
    ------
    Noise
        If the interval is wider than `allowed`, in the unit of the values.
    """
    result = spread(values)
    width = result.high - result.low
    if width > allowed:
        raise Noise(
            f"{name} is noise on this machine: {result} over {len(values)} pairs, and the interval may be "
            f"{allowed:.3g} wide. Measure on an idle machine"
        )
    return result
