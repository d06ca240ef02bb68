"""Freshness of a table: its newest partition, when that was due, how late it came, and what is overdue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.data.features.availability import scheduled_publications
from include.declarations import Dataset
from include.partitions import Partition, day_of, format_partition

if TYPE_CHECKING:
    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.data.lake.table_statistics import TableStatistics

DAY_S = 86_400.0
HOUR_S = 3_600.0
# Shorter times are shown in the smaller unit.
MIN_SHOWN = 2.0


@dataclass(frozen=True, slots=True)
class FreshnessEntry:
    """
    Newest partition of a table.

    Attributes
    ----------
    newest : str or None
        Its name.
    age_days : float or None
        Days since its end.
    due_at : datetime or None
        When it had to be known.
    published_at : datetime or None
        Time of its newest commit.
    late_s : float or None
        Seconds from then until a scheduled run published it first, 0 if it was in time; None if a backfill or
        a bulk run loaded it, and for a view, whose runs follow others.
    overdue, overdue_s : str or None, float or None
        The partition after the newest, if it is due and not published, and seconds since then.
    partitions, rows : int
        Number of partitions and of their rows.
    """

    newest: str | None
    age_days: float | None
    published_at: datetime | None
    partitions: int
    rows: int
    due_at: datetime | None = None
    late_s: float | None = None
    overdue: str | None = None
    overdue_s: float | None = None

    @property
    def lateness(self) -> str:
        """What is overdue, or how late the newest partition was, as text; empty if neither is known."""
        if self.overdue is not None and self.overdue_s is not None:
            return f"{self.overdue} is {describe_seconds(self.overdue_s)} overdue"
        if self.late_s is None:
            return ""
        return f"{describe_seconds(self.late_s)} late" if self.late_s else "in time"

    def describe(self) -> str:
        """Return the newest partition, when it was due, and how late it was, as text."""
        if self.newest is None:
            return "; ".join(("nothing is published", *filter(None, [self.lateness])))
        age = self.age_days or 0.0
        # An undated file is a partition of the day on which it was read.
        parts = [f"newest {self.newest}, " + (f"{age:,.1f} days old" if age >= 0 else "not over yet")]
        if self.due_at is not None:
            parts.append(f"due {self.due_at:%Y-%m-%d %H:%M} UTC")
        if self.published_at is not None:
            parts.append(f"published {self.published_at:%Y-%m-%d %H:%M} UTC")
        first = ", ".join(filter(None, [*parts, self.lateness]))
        return f"{first}; {self.partitions:,} partition{'s' * (self.partitions != 1)}, {self.rows:,} rows"


def read_freshness(
    declared: Catalog, lake: Lake, name: str, statistics: TableStatistics, *, now: datetime | None = None
) -> FreshnessEntry:
    """Return the freshness of a declared dataset or feature view from the statistics of its table."""
    table = declared.declaration(name)
    moment = now or datetime.now(UTC)
    newest = statistics.newest
    due = None if newest is None else table.availability.due_at(newest)
    late_s = None
    if newest is not None and due is not None and isinstance(table, Dataset):
        published = scheduled_publications(table, lake).get(newest)
        late_s = None if published is None else max(0.0, (published - due).total_seconds())
    overdue = _overdue(declared.sources[name], newest, moment)
    return FreshnessEntry(
        newest=None if newest is None else format_partition(newest),
        age_days=None if newest is None else (moment - table.calendar.end_of(newest)).total_seconds() / DAY_S,
        published_at=statistics.published_at,
        partitions=statistics.partitions,
        rows=statistics.rows,
        due_at=due,
        late_s=late_s,
        overdue=None if overdue is None else format_partition(overdue),
        overdue_s=None if overdue is None else (moment - table.availability.due_at(overdue)).total_seconds(),
    )


def describe_seconds(seconds: float) -> str:
    """Return a time in the largest unit in which it is at least 2."""
    for length, unit in ((DAY_S, "days"), (HOUR_S, "hours"), (60.0, "minutes")):
        if seconds >= MIN_SHOWN * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _overdue(dataset: Dataset, newest: Partition | None, now: datetime) -> Partition | None:
    """Return the first partition after the newest if it exists and is due."""
    if dataset.whole:
        return None
    calendar = dataset.calendar
    first = calendar.partition_at(calendar.start_of(dataset.first_partition))
    following = first if newest is None else calendar.following(newest)
    has_ended = dataset.last_partition is not None and day_of(following) > dataset.last_partition
    return None if has_ended or dataset.availability.due_at(following) > now else following
