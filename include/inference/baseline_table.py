"""The baseline of a version: the mean target of each slot of the training rows, packaged with the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

BASELINE = "baseline.json"

# The value of a regression or binary classifier, or the probability of each class.
SlotPrediction = float | list[float]


@dataclass(frozen=True, slots=True)
class BaselineTable:
    """
    Predictions by the values of the columns `by`; `overall` is that of rows whose slot is not in the table.

    Texts that are numbers are compared as numbers, since a CSV has no types.
    """

    by: tuple[str, ...]
    overall: SlotPrediction
    slots: Mapping[tuple[object, ...], SlotPrediction]

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> BaselineTable:
        """Return the table that `as_json` wrote."""
        slots = {tuple(map(_comparable, key)): value for key, value in content["slots"]}
        return cls(tuple(content["by"]), content["overall"], slots)

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON."""
        slots = [[list(key), value] for key, value in self.slots.items()]
        return {"by": list(self.by), "overall": self.overall, "slots": slots}

    def look_up(self, row: Mapping[str, object]) -> SlotPrediction:
        """Return the prediction for a row, which may lack columns."""
        key = tuple(_comparable(row.get(name)) for name in self.by)
        return self.slots.get(key, self.overall)


def _comparable(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return str(value).lower()
    try:
        return float(value)
    except ValueError:
        return value
