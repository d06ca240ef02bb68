"""Bootstrap over days or over random groups of rows: intervals of figures of the test rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import norm, t

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Values = npt.NDArray[np.float64]
    # A figure as a function of how often each unit counts: (n_resamples, n_units) to (n_resamples,).
    UnitStatistic = Callable[[Values], Values]

N_RESAMPLES = 2_000
# Of a higher confidence, fewer than 20 resamples are beyond the bound.
MAX_CONFIDENCE = 0.99
EPSILON = 1e-9
# Fewer units do not show how much units differ.
MINIMUM_UNITS = 5
# As many show a variance up to a tenth; the cost of a resample grows with their number.
MAX_GROUPS = 200
Unit = Literal["days", "groups"]


@dataclass(frozen=True)
class UnitBootstrap:
    """
    The units of rows that are drawn together, and how they are resampled.

    Dated rows are drawn by day, in circular blocks of neighbouring days (Künsch 1989; Politis and Romano
    1992), because rows of a day are not independent, and weather and traffic last. The length of a block is
    the cube root of the number of days, rounded up. Rows without a day are independent: they are dealt out at
    random to `MAX_GROUPS` groups, which are drawn one by one (the method of random groups, Wolter 2007); of
    fewer rows, each is a group.

    Attributes
    ----------
    codes : array of int, shape (n,)
        Unit of each row; the position of its day in time order.
    count : int
        Number of units.
    unit : str
        `days` or `groups`.
    seed : int
        Seed of the resampling.
    """

    codes: npt.NDArray[np.intp]
    count: int
    unit: Unit = "days"
    seed: int = 0

    @classmethod
    def of_days(cls, days: pd.Series[Any] | npt.NDArray[Any], *, seed: int = 0) -> UnitBootstrap:
        """Return the bootstrap of rows with these days, in any sortable type."""
        codes, names = pd.factorize(np.asarray(days), sort=True)
        return cls(np.asarray(codes, dtype=np.intp), len(names), "days", seed)

    @classmethod
    def of_rows(cls, n_rows: int, *, seed: int = 0) -> UnitBootstrap:
        """Return the bootstrap of independent rows, in random groups of equally many."""
        order = np.random.default_rng(seed).permutation(n_rows)
        n_groups = min(n_rows, MAX_GROUPS)
        return cls(np.asarray(order % max(n_groups, 1), dtype=np.intp), n_groups, "groups", seed)

    def or_rows(self) -> UnitBootstrap:
        """Return the same, or independent rows instead of too few days, whose spread would not be seen."""
        is_enough = self.unit == "groups" or self.count >= MINIMUM_UNITS
        return self if is_enough else UnitBootstrap.of_rows(len(self.codes), seed=self.seed)

    @property
    def block(self) -> int:
        """Neighbouring units that are drawn together."""
        return max(1, math.ceil(math.cbrt(self.count) - EPSILON)) if self.unit == "days" else 1

    @property
    def method(self) -> str:
        """Description of the method for the evidence."""
        if self.unit == "days":
            return f"bootstrap of {self.count} days in blocks of {self.block}, {N_RESAMPLES} times"
        return f"bootstrap of {self.count} random groups of {len(self.codes)} rows, {N_RESAMPLES} times"

    @cached_property
    def weights(self) -> Values:
        """How often each unit was drawn, shape (n_resamples, n_units)."""
        random = np.random.default_rng(self.seed)
        n_blocks = math.ceil(self.count / self.block)
        starts = random.integers(0, self.count, size=(N_RESAMPLES, n_blocks, 1))
        blocks = (starts + np.arange(self.block)) % self.count
        units = blocks.reshape(N_RESAMPLES, -1)[:, : self.count]
        cells = (units + self.count * np.arange(N_RESAMPLES)[:, None]).ravel()
        counts = np.bincount(cells, minlength=N_RESAMPLES * self.count)
        return counts.reshape(N_RESAMPLES, self.count).astype(np.float64)

    @property
    def ones(self) -> Values:
        """Weights that count every unit once, shape (1, n_units)."""
        return np.ones((1, self.count))

    def interval(
        self,
        statistic: UnitStatistic,
        *,
        confidence: float,
        value: float,
        lower_confidence: float | None = None,
    ) -> tuple[float, float]:
        """
        Return bounds around `value`, each of which holds with `confidence`.

        The spread is taken around the median of the resamples, which removes the bias of figures that grow
        with noise. It is widened, since means of resampled blocks vary too little, and as for a variance that
        is estimated from as many blocks of units (Student); so are bounds beyond `MAX_CONFIDENCE`, of which
        the resamples tell too little.

        Parameters
        ----------
        statistic : UnitStatistic
            The figure as a function of the units' weights.
        confidence : float
            Probability of each bound, from 0.5 to 1.
        value : float
            The figure of the rows as they are.
        lower_confidence : float, optional
            Probability of the lower bound, where it is another one.
        """
        resamples = statistic(self.weights)
        resamples = resamples[np.isfinite(resamples)]
        # Blocks of all units are the units as they are.
        if not len(resamples) or self.count <= self.block:
            return value, value
        confidences = (confidence if lower_confidence is None else lower_confidence, confidence)
        resampled = [min(bound, MAX_CONFIDENCE) for bound in confidences]
        lower, centre, upper = np.quantile(resamples, [1 - resampled[0], 0.5, resampled[1]])
        below = (centre - lower) * self._widening(confidences[0])
        above = (upper - centre) * self._widening(confidences[1])
        return float(value - below), float(value + above)

    def _widening(self, confidence: float) -> float:
        """
        Return by how much a distance between quantiles of the resamples is too short for a bound.

        Around the mean of all n units, the mean of a block of b has the variance s² / b - s² / n. So that of
        n / b blocks has the variance (1 - b / n) s² / n, instead of s² / n.
        """
        blocks = math.ceil(self.count / self.block)
        student = float(t.ppf(confidence, max(blocks - 1, 1)))
        resampled = float(norm.ppf(min(confidence, MAX_CONFIDENCE)))
        return math.sqrt(self.count / (self.count - self.block)) * student / resampled


def describe_units(count: int, unit: Unit) -> str:
    """Return the units of the test rows in words, such as `14 test days`."""
    return f"{count} test days" if unit == "days" else f"{count} random groups of the test rows"
