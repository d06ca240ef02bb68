"""What a team declares of features that several models share."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration, Name, known, unique
from include.declarations.columns import Column


class Source(Declaration):
    """A dataset that a feature view reads: its own day, and `lookback_days` before it."""

    dataset: Name
    lookback_days: int = Field(default=0, ge=0, le=366)


class FeatureView(Declaration):
    """
    Features of one entity, built per day by the module's `build(frames, day)`.

    `time` is the event's time, and a feature counts only if it was known `horizon` before it.
    """

    name: Name
    owner: str
    description: str
    sources: tuple[Source, ...] = Field(min_length=1)
    entity: str
    time: str
    horizon: Duration = timedelta(0)
    columns: tuple[Column, ...] = Field(min_length=1)
    volume: tuple[int, int] = (1, 10_000_000)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = {column.name for column in self.columns}
        unique([column.name for column in self.columns], "columns")
        unique([source.dataset for source in self.sources], "sources")
        known((self.entity,), names, "entity")
        known((self.time,), names, "time")
        return self
