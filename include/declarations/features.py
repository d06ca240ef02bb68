"""What a team declares of features that several models share."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration, Name, require_known, require_unique
from include.declarations.columns import Column


class ViewSource(Declaration):
    """
    A dataset that a feature view reads: its own day, and `lookback_days` before it.

    Of a dataset that lands late, the days that have not landed by then are left out.
    `columns` are those of the view that come from it; what no source names may come from any of them.
    """

    dataset: Name
    lookback_days: int = Field(default=0, ge=0, le=366)
    columns: tuple[str, ...] = ()

    @property
    def known_at(self) -> str:
        """The view's column with the moment at which a row's values of this source became known."""
        return f"{self.dataset}_known_at"

    def days_of(self, day: date, *, lag_days: int) -> list[date]:
        """Return the days of the dataset, which lands `lag_days` late, that a day is built from, in order."""
        first = min(self.lookback_days, day.toordinal() - 1)
        return [day - timedelta(days=back) for back in range(first, lag_days - 1, -1)]

    def readers_of(self, day: date, *, lag_days: int) -> list[date]:
        """Return the view's days that a day of the dataset, which lands `lag_days` late, is built into."""
        return [day + timedelta(days=ahead) for ahead in range(lag_days, self.lookback_days + 1)]


class Online(Declaration):
    """The rows of the newest `days` days answer callers who send an entity's key alone."""

    days: int = Field(default=7, ge=1, le=366)


class FeatureView(Declaration):
    """
    Features of one entity, built per day by the module's `build(frames, day)`.

    `time` is the event's time, and a feature counts only if it was known `horizon` before it. Each source
    adds a column `<dataset>_known_at` to `columns`, unless it is declared.
    """

    name: Name
    owner: str
    description: str
    sources: tuple[ViewSource, ...] = Field(min_length=1)
    entity: str
    time: str
    horizon: Duration = timedelta(0)
    columns: tuple[Column, ...] = Field(min_length=1)
    volume: tuple[int, int] = (1, 10_000_000)
    online: Online | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        types = {column.name: column.dtype for column in self.columns}
        require_unique([column.name for column in self.columns], "columns")
        require_unique([source.dataset for source in self.sources], "sources")
        require_known((self.entity,), types, "entity")
        require_known((self.time,), types, "time")
        if types[self.time] != "timestamp":
            raise ValueError(f"time: {self.time} is no timestamp")
        if types[self.entity] not in {"string", "integer"}:
            raise ValueError(f"entity: {self.entity} is neither string nor integer")
        for source in self.sources:
            require_known(source.columns, types, "sources.columns")
        moments = (
            Column(name=each.known_at, dtype="timestamp", nullable=True, maximum_nulls=1)
            for each in self.sources
        )
        missing = tuple(column for column in moments if column.name not in types)
        object.__setattr__(self, "columns", self.columns + missing)  # it is frozen, even for itself
        return self

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that are neither the entity nor a moment of this view's own making."""
        others = {self.entity, self.time, *(source.known_at for source in self.sources)}
        return tuple(column for column in self.columns if column.name not in others)

    def sources_of(self, column: str) -> tuple[ViewSource, ...]:
        """Return the sources that a column may come from."""
        named = tuple(source for source in self.sources if column in source.columns)
        return named or self.sources
