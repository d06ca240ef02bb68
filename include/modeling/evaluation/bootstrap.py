"""Block bootstrap over days: intervals of figures whose rows are not independent within a day."""

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
    # A figure as a function of how often each day counts: (n_resamples, n_days) to (n_resamples,).
    DayStatistic = Callable[[Values], Values]

N_RESAMPLES = 2_000
# Fewer days do not show how much days differ.
MINIMUM_DAYS = 5


@dataclass(frozen=True)
class DayBootstrap:
    """
    The days of rows, and how they are resampled.

    Days are drawn in circular blocks of neighbours (Künsch 1989; Politis and Romano 1992), because weather
    and traffic last. The length of a block is the cube root of the number of days.

    Attributes
    ----------
    codes : array of int, shape (n,)
        Day of each row, as its position in time order.
    count : int
        Number of days.
    seed : int
        Seed of the resampling.
    """

    codes: npt.NDArray[np.intp]
    count: int
    seed: int = 0

    @classmethod
    def of(cls, days: pd.Series[Any] | npt.NDArray[Any], *, seed: int = 0) -> DayBootstrap:
        """Return the bootstrap of rows with these days, in any sortable type."""
        codes, names = pd.factorize(np.asarray(days), sort=True)
        return cls(np.asarray(codes, dtype=np.intp), len(names), seed)

    @property
    def block(self) -> int:
        """Days of a block."""
        return max(1, round(math.cbrt(self.count)))

    @property
    def method(self) -> str:
        """Description of the method for the evidence."""
        return f"bootstrap of {self.count} days in blocks of {self.block}, {N_RESAMPLES} times"

    @cached_property
    def weights(self) -> Values:
        """How often each day was drawn, shape (n_resamples, n_days)."""
        random = np.random.default_rng(self.seed)
        n_blocks = math.ceil(self.count / self.block)
        starts = random.integers(0, self.count, size=(N_RESAMPLES, n_blocks, 1))
        blocks = (starts + np.arange(self.block)) % self.count
        days = blocks.reshape(N_RESAMPLES, -1)[:, : self.count]
        cells = (days + self.count * np.arange(N_RESAMPLES)[:, None]).ravel()
        counts = np.bincount(cells, minlength=N_RESAMPLES * self.count)
        return counts.reshape(N_RESAMPLES, self.count).astype(np.float64)

    @property
    def ones(self) -> Values:
        """Weights that count every day once, shape (1, n_days)."""
        return np.ones((1, self.count))

    def interval(self, statistic: DayStatistic, *, confidence: float, value: float) -> tuple[float, float]:
        """
        Return bounds around `value`, each of which holds with `confidence`.

        The spread is taken around the median of the resamples, which removes the bias of figures that grow
        with noise. It is widened as for a variance that is estimated from as many days.

        Parameters
        ----------
        statistic : DayStatistic
            The figure as a function of the days' weights.
        confidence : float
            Probability of each bound, from 0.5 to 1.
        value : float
            The figure of the rows as they are.
        """
        resamples = statistic(self.weights)
        resamples = resamples[np.isfinite(resamples)]
        if not len(resamples) or self.count < 2:
            return value, value
        lower, centre, upper = np.quantile(resamples, [1 - confidence, 0.5, confidence])
        widening = math.sqrt(self.count / (self.count - 1))
        return float(value - (centre - lower) * widening), float(value + (upper - centre) * widening)
