"""How sure a figure is: test days are drawn again, since the rows of one day are not independent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    Measure = Callable[[Values], Values]

RESAMPLES = 2_000
MINIMUM_DAYS = 5  # fewer cannot tell how much days differ


@dataclass(frozen=True)
class DayBootstrap:
    """
    The day of each row, as its place among the `count` days in time order, and how these are drawn again.

    Days are drawn in blocks of neighbours (Künsch 1989; circular: Politis and Romano 1992), because weather
    and traffic last: the length of a block is the cube root of the number of days.
    """

    places: npt.NDArray[np.intp]
    count: int
    seed: int = 0

    @classmethod
    def of(cls, days: pd.Series[Any] | npt.NDArray[Any], *, seed: int = 0) -> DayBootstrap:
        """Return the days of rows, whatever kind of value names them."""
        places, names = pd.factorize(np.asarray(days), sort=True)
        return cls(np.asarray(places, dtype=np.intp), len(names), seed)

    @property
    def block(self) -> int:
        """The days of a block."""
        return max(1, round(math.cbrt(self.count)))

    @property
    def method(self) -> str:
        """What was done, for the evidence."""
        return f"bootstrap of {self.count} days in blocks of {self.block}, {RESAMPLES} times"

    @cached_property
    def weights(self) -> Values:
        """How often each day was drawn, one row per resample."""
        random, blocks = np.random.default_rng(self.seed), math.ceil(self.count / self.block)
        starts = random.integers(0, self.count, size=(RESAMPLES, blocks, 1))
        drawn = ((starts + np.arange(self.block)) % self.count).reshape(RESAMPLES, -1)[:, : self.count]
        flat = (drawn + self.count * np.arange(RESAMPLES)[:, None]).ravel()
        counts = np.bincount(flat, minlength=RESAMPLES * self.count).reshape(RESAMPLES, self.count)
        return counts.astype(np.float64)

    @property
    def ones(self) -> Values:
        """Every day once: the rows as they are."""
        return np.ones((1, self.count))

    def sums(self, values: Values) -> Values:
        """Return the sum of a figure per day; several figures stand in rows."""
        if values.ndim == 1:
            return np.bincount(self.places, values, minlength=self.count).astype(np.float64)
        return np.stack([self.sums(row) for row in values])

    def interval(self, measure: Measure, *, confidence: float, value: float) -> tuple[float, float]:
        """
        Return bounds around `value` of which each holds with `confidence`, where `measure` takes weights.

        The spread is that around the median of the resamples, which takes away the bias of figures that grow
        with noise, and widened as for a variance estimated from so few days.
        """
        figures = measure(self.weights)
        figures = figures[np.isfinite(figures)]
        if not len(figures) or self.count < 2:
            return value, value
        lower, centre, upper = np.quantile(figures, [1 - confidence, 0.5, confidence])
        wider = math.sqrt(self.count / (self.count - 1))
        return float(value - (centre - lower) * wider), float(value + (upper - centre) * wider)


def weighted(weights: Values, sums: Values) -> Values:
    """Return the sum of a figure in each resample."""
    # not @: on so few columns BLAS threads cost more than the sums
    drawn: Values = np.einsum("kd,d->k", weights, sums)
    return drawn
