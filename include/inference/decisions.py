"""Decisions that follow from predictions, by the rule that is packaged with a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """
    How a prediction becomes a decision.

    Attributes
    ----------
    threshold : float or None
        Probability from which a row of a binary model is acted on; None for several classes.
    costs : tuple of tuples of float
        Expected cost of each decision (columns) for each actual class (rows); empty for a binary model.
    """

    threshold: float | None = None
    costs: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> DecisionRule:
        """Return the rule that `to_dict` wrote."""
        costs = tuple(tuple(map(float, row)) for row in content.get("costs", ()))
        threshold = content.get("threshold")
        return cls(None if threshold is None else float(threshold), costs)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        if self.threshold is not None:
            return {"threshold": self.threshold}
        return {"costs": [list(row) for row in self.costs]}

    def decide(self, predictions: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        """
        Return the code of the decision for each row, shape (n,): 1 to act on it and 0 not to, or the class.

        Of classes whose expected costs are equal, the first one is decided for.
        """
        if self.threshold is not None:
            return (predictions >= self.threshold).astype(np.intp)
        return np.asarray((predictions @ np.asarray(self.costs)).argmin(axis=1))

    def answer(self, predictions: npt.NDArray[np.float64], classes: Sequence[str | int]) -> list[Any]:
        """Return the decisions of a response: true to act on a row, or the class as it stands in the data."""
        codes = self.decide(predictions)
        if self.threshold is not None:
            return [bool(code) for code in codes]
        return [classes[code] for code in codes]
