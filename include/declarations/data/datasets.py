"""Datasets: tables that arrive in partitions."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Self

from pydantic import Field, model_validator

from include.declarations.base import (
    LENGTHS,
    Declaration,
    Duration,
    Name,
    Share,
    Tag,
    TimeZone,
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
from include.declarations.data.file_formats import PARTITION, FileFormat
from include.declarations.data.sources import AnySource, DatabaseSource
from include.partitions import Availability, Calendar, Granularity, KnownFrom

# A dataset that is read whole has no first partition.
FIRST_LANDING = date(1970, 1, 1)


class Dataset(Declaration):
    """
    A table that arrives in partitions, one of each `granularity`: hour, day, week (from Monday) or month.

    Hours are in UTC; days, weeks and months begin at midnight in `time_zone`, by default UTC. A week or month
    is named by its first day. A partition is due when it is known; its run begins on the last midnight in
    `time_zone`, or full hour, before that, and waits until `landing_timeout` after it was due.

    `volume` bounds the number of accepted rows of a partition. If more than the share `quarantine_limit` (0
    to 1) of its rows is rejected, the whole partition is rejected. `key` are the columns that identify a row.
    `expectations` is a function that returns expectations of Great Expectations, or its import path.

    A row is known from the timestamp in its column `known_at`, without it from the moment at which its
    partition is: `lag_days` days (of `time_zone`) after its end, or, with `known_from`, after its start
    (`"start"`), and a duration so much later (negative if it is known before).

    With `whole`, the file at the source is all of the data: a partition is what was read on a day, and the
    newest one replaces the ones before. A nightly run that reads the same rows again publishes nothing.
    """

    name: Name
    owner: str
    description: str
    tags: tuple[Tag, ...] = ()
    source: AnySource
    columns: tuple[Column, ...] = Field(min_length=1)
    key: tuple[str, ...] = Field(min_length=1)
    first_partition: date = FIRST_LANDING
    last_partition: date | None = None
    whole: bool = False
    granularity: Granularity = "day"
    time_zone: TimeZone | None = None
    lag_days: int = Field(default=0, ge=0)
    known_at: str | None = None
    known_from: KnownFrom = "end"
    volume: tuple[int, int] = (1, 10_000_000)
    quarantine_limit: Share = 0.01
    freshness: Freshness | None = None
    stability: Stability | None = None
    foreign_keys: tuple[ForeignKey, ...] = ()
    expectations: Expectations | None = None
    landing_timeout: Duration = timedelta(hours=6)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_unique([column.name for column in self.columns], "columns")
        names = {column.name for column in self.columns}
        require_known(self.key, names, "key")
        moments = {column.name for column in self.columns if column.dtype == "timestamp"}
        require_known([self.known_at] if self.known_at else [], moments, "known_at")
        require_checkable(self.columns, self.freshness, self.stability, self.foreign_keys, self.key)
        if self.granularity != "hour" and self.stability and "hour" in self.stability.compare_with:
            raise ValueError(f"stability.compare_with: a {self.granularity} has no hours")
        require_volume(self.volume)
        require_table_name(self.name)
        self._check_whole()
        if self.last_partition and self.last_partition < self.first_partition:
            raise ValueError("last_partition is before first_partition")
        self._require_partitions()
        self._require_file_columns()
        return self

    @property
    def calendar(self) -> Calendar:
        """How the data is divided into partitions."""
        return Calendar(self.granularity, self.time_zone or "UTC")

    @property
    def availability(self) -> Availability:
        """When its partitions are known."""
        return Availability(self.calendar, self.known_from, self.lag_days)

    @property
    def known_after(self) -> timedelta:
        """Longest time from the start of a partition until it is known."""
        return known_after(self.known_from, LENGTHS[self.granularity], timedelta(days=self.lag_days))

    def _require_partitions(self) -> None:
        """Raise ValueError if the bounds are no partitions, or hours have a time zone."""
        if self.granularity == "hour" and self.time_zone:
            raise ValueError("time_zone: hours are those of UTC; remove time_zone, or declare days")
        for name in ("first_partition", "last_partition"):
            bound = getattr(self, name)
            if bound is not None and bound != self.calendar.partition_of(bound):
                raise ValueError(
                    f"{name}: {bound} does not begin a {self.granularity}; give its first day, "
                    f"{self.calendar.partition_of(bound)}"
                )

    def _require_file_columns(self) -> None:
        """Raise ValueError if the names of the columns in files are impossible."""
        if not isinstance(self.source, FileFormat):
            return
        types = {column.name: column.dtype for column in self.columns}
        require_known(self.source.rename.values(), types, "source.rename")
        renamed = set(self.source.rename.values())
        for name, column in self.source.rename.items():
            if name in types and name not in renamed:
                raise ValueError(
                    f"source.rename: {name} of the file would be two columns, {column} and {name}; rename "
                    f"another one to {name}, or remove {name} from columns"
                )
        for declared in self.columns:
            null = [marker for marker in self.source.nulls if marker in (declared.allowed or ())]
            if null:
                raise ValueError(
                    f"columns.{declared.name}.allowed: {', '.join(null)} is null by source.nulls; remove it "
                    "from one of them"
                )
        split_by = self.source.split_by
        if split_by is None:
            return
        require_known([split_by], types, "source.split_by")
        if types[split_by] != "timestamp" and (types[split_by] != "string" or self.granularity == "hour"):
            raise ValueError(
                f"source.split_by: {split_by} must be a timestamp, or the text of a day for a dataset that "
                "does not arrive by the hour"
            )

    def _check_whole(self) -> None:
        """Raise ValueError if the source does not fit a dataset that is, or is not, read whole."""
        is_one_file = isinstance(self.source, FileFormat) and not self.source.has_partitions
        if self.whole and not is_one_file:
            raise ValueError(
                f"source: what is read whole is a file without {PARTITION} in its path, and without "
                "`split_by`; change the source, or remove `whole`"
            )
        if self.whole and (self.granularity != "day" or self.lag_days or self.last_partition):
            raise ValueError(
                "whole: there are no partitions; remove granularity, lag_days and last_partition"
            )
        if not self.whole and is_one_file:
            raise ValueError(
                f"source.path: {PARTITION} is missing; without it, one file needs `split_by`, or whole=True "
                "if a new file replaces all rows"
            )
        if not self.whole and "first_partition" not in self.model_fields_set:
            raise ValueError("first_partition: declare the first day of the data")

    @property
    def watermark(self) -> str | None:
        """Column by which late changes are detected; None unless the source is a query with a watermark."""
        return self.source.watermark if isinstance(self.source, DatabaseSource) else None
