"""Feature views: features that several models share."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from include.declarations.base import (
    LENGTHS,
    Declaration,
    Duration,
    Name,
    Share,
    Tag,
    known_after,
    require_known,
    require_table_name,
    require_unique,
    require_volume,
)
from include.declarations.data.checks import (
    Expectations,
    ForeignKey,
    Freshness,
    Stability,
    require_checkable,
)
from include.declarations.data.columns import Column
from include.declarations.data.datasets import FIRST_LANDING, Dataset
from include.errors import DeclarationError
from include.partitions import Availability, Calendar, KnownFrom

if TYPE_CHECKING:
    from collections.abc import Mapping


class ViewSource(Declaration):
    """
    A dataset or another feature view that a feature view reads: partitions of its own time, and
    `lookback_days` and `lookback_hours` back.

    Partitions that are not known when the view's partition is are not read. `columns` are the view's columns
    that come from this dataset; a column that no source names may come from any of them.

    A dataset that is read `whole` is a reference table beside dated ones: `build` gets all of its rows, in
    the version that was known when the view's partition began, and before the first version that one. With
    `versions="newest"` it gets the newest one for each partition, and a new version makes earlier partitions
    stale.
    """

    dataset: Name
    lookback_days: int = Field(default=0, ge=0, le=366)
    lookback_hours: int = Field(default=0, ge=0, le=8784)
    columns: tuple[str, ...] = ()
    versions: Literal["as_of", "newest"] = "as_of"

    @property
    def lookback(self) -> timedelta:
        """Time before the view's partition from which the dataset's partitions are read."""
        return timedelta(days=self.lookback_days, hours=self.lookback_hours)

    @property
    def known_at(self) -> str:
        """Column of the view with the time at which a row's values from this source became known."""
        return f"{self.dataset}_known_at"


class Online(Declaration):
    """Online serving: the rows of the newest `days` days are looked up for requests that hold only a key."""

    days: int = Field(default=7, ge=1, le=366)


class FeatureView(Declaration):
    """
    Features of one entity, built per day by `build(frames, day)` of the declaration's module, or per hour (in
    UTC) by `build(frames, hour)`.

    `entity` is the key column, or several that together identify an entity, which may recur on other days.
    `time` is the column with the time of the event. A feature may be used only if it
    was known `horizon` before the event. Each source adds a column `<dataset>_known_at` (timestamp, nullable)
    to `columns`, unless it is declared. `volume` bounds the number of rows per partition. Rejected rows are
    not published; if they are more than the share `quarantine_limit` (0 to 1) of a partition, nothing is. The
    other checks are those of a dataset.

    Without `build` the rows are those of the only source as they are.

    Without `time` the rows are undated: they are those of a `whole` dataset, the newest that landed, and all
    of it is taken as known when it landed.

    A partition is built from what is known by the moment `known_from`: its end, its start, or so long after
    its start (negative: before it). From that moment its rows can be looked up online.
    """

    name: Name
    owner: str
    description: str
    tags: tuple[Tag, ...] = ()
    sources: tuple[ViewSource, ...] = Field(min_length=1)
    entity: str | tuple[str, ...]
    time: Annotated[str, BeforeValidator(lambda time: time or "")] = ""
    horizon: Duration = timedelta(0)
    granularity: Literal["day", "hour"] = "day"
    known_from: KnownFrom = "end"
    columns: tuple[Column, ...] = Field(min_length=1)
    volume: tuple[int, int] = (1, 10_000_000)
    quarantine_limit: Share = 0.0
    freshness: Freshness | None = None
    stability: Stability | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    expectations: Expectations | None = None
    online: Online | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        types = {column.name: column.dtype for column in self.columns}
        require_unique([column.name for column in self.columns], "columns")
        require_unique([source.dataset for source in self.sources], "sources")
        require_unique(self.keys, "entity")
        require_known(self.keys, types, "entity")
        if self.time:
            require_known((self.time,), types, "time")
            if types[self.time] != "timestamp":
                raise ValueError(f"time: {self.time} must be a column of type timestamp")
        if not self.keys or self.time in self.keys:
            raise ValueError("entity: name one or more columns besides the time")
        for name in self.keys:
            if types[name] not in {"string", "integer"}:
                raise ValueError(f"entity: {name} must be a column of type string or integer")
        require_volume(self.volume)
        require_table_name(self.name)
        for source in self.sources:
            require_known(source.columns, types, "sources.columns")
        require_checkable(self.columns, self.freshness, self.stability, self.foreign_keys, self.keys)
        if self.granularity != "hour" and self.stability and "hour" in self.stability.compare_with:
            raise ValueError(f"stability.compare_with: a {self.granularity} has no hours")
        known_at = (
            Column(name=source.known_at, dtype="timestamp", nullable=True, maximum_nulls=1)
            for source in self.sources
        )
        missing = tuple(column for column in known_at if column.name not in types)
        # The model is frozen: only object.__setattr__ can complete it.
        object.__setattr__(self, "columns", self.columns + missing)
        object.__setattr__(self, "time", self.time or self.sources[0].known_at)
        self._check_undated()
        return self

    @property
    def calendar(self) -> Calendar:
        """How the rows are divided into partitions."""
        return Calendar(self.granularity)

    @property
    def is_dated(self) -> bool:
        """Whether rows have a time; if not, `time` is the column with the moment at which they landed."""
        return self.time != self.sources[0].known_at

    def _check_undated(self) -> None:
        if self.is_dated:
            return
        if len(self.sources) > 1:
            raise ValueError(
                "sources: rows without a time come from one dataset; declare `time`, or one source"
            )
        of_time = {
            "horizon": bool(self.horizon),
            "known_from": self.known_from != "end",
            "granularity": self.granularity != "day",
            "lookback": bool(self.sources[0].lookback),
        }
        declared = [name for name, is_declared in of_time.items() if is_declared]
        if declared:
            raise ValueError(
                f"{', '.join(declared)}: rows without a time have none; remove it, or declare `time`"
            )

    @property
    def availability(self) -> Availability:
        """When its partitions are online."""
        return Availability(self.calendar, self.known_from)

    @property
    def online_days(self) -> int | None:
        """Number of the newest days whose rows can be looked up; None if the view is not online."""
        if self.online is None:
            return None
        return self.online.days if self.is_dated else 1

    @property
    def known_after(self) -> timedelta:
        """Time from the start of a partition until its rows can be looked up online."""
        return known_after(self.known_from, LENGTHS[self.granularity])

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns of the entity."""
        return (self.entity,) if isinstance(self.entity, str) else self.entity

    @property
    def features(self) -> tuple[Column, ...]:
        """Columns that are neither the entity, the event time nor a `<dataset>_known_at` column."""
        others = {*self.keys, self.time, *(source.known_at for source in self.sources)}
        return tuple(column for column in self.columns if column.name not in others)

    def sources_of(self, column: str) -> tuple[ViewSource, ...]:
        """Return the sources that `column` may come from."""
        named = tuple(source for source in self.sources if column in source.columns)
        return named or self.sources


def as_dataset(
    view: FeatureView,
    views: Mapping[str, FeatureView],
    datasets: Mapping[str, Dataset],
    path: tuple[str, ...] = (),
) -> Dataset:
    """
    Return a feature view as the dataset that other views read: its partitions, known once they are online.

    Parameters
    ----------
    path
        Names of the views that read it.

    Raises
    ------
    DeclarationError
        If the view is built from itself, or a source does not exist.
    """
    readers = (*path, view.name)
    if view.name in path:
        raise DeclarationError(f"sources: {' reads '.join(readers)}: a view cannot be built from itself")
    sources: list[Dataset] = []
    for source in view.sources:
        if source.dataset in views:
            sources.append(as_dataset(views[source.dataset], views, datasets, readers))
        elif source.dataset in datasets:
            sources.append(datasets[source.dataset])
        else:
            existing = ", ".join(sorted({*datasets, *views}))
            raise DeclarationError(
                f"sources.dataset: {source.dataset!r} does not exist; there are {existing}"
            )
    # Reference tables have no partitions of their own time.
    dated = [source for source in sources if not source.whole] if view.is_dated else sources
    ends = [source.last_partition for source in dated]
    # Without validation: a view has no source of its own.
    return Dataset.model_construct(  # type: ignore[call-arg]
        name=view.name,
        owner=view.owner,
        description=view.description,
        columns=view.columns,
        key=view.keys,
        first_partition=min((source.first_partition for source in dated), default=FIRST_LANDING),
        last_partition=None if None in ends else max(end for end in ends if end is not None),
        granularity=view.granularity,
        whole=not view.is_dated,
        known_from=view.known_from,
    )
