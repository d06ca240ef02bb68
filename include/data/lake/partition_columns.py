"""Where the rows of days, or hours, lie in a table: its partition columns `day`, and `hour` if it has one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from itertools import groupby
from operator import or_
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from include import partitions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import pandas as pd

    from include.partitions import Partition

DAY, HOUR = "day", "hour"


@dataclass(frozen=True, slots=True)
class PartitionSet:
    """Days, or hours, in order, as a table's partition columns name them."""

    partitions: tuple[Partition, ...]

    @classmethod
    def of(cls, days: Collection[Partition]) -> PartitionSet:
        """Return the place of these partitions, in any order."""
        return cls(tuple(sorted(set(days))))

    @property
    def columns(self) -> list[str]:
        """The columns that the table is partitioned by."""
        by_hour = self.partitions and isinstance(self.partitions[0], datetime)
        return [DAY, HOUR] if by_hour else [DAY]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of these partitions."""
        return tuple(partitions.format_partition(one) for one in self.partitions)

    def __str__(self) -> str:
        ends = [partitions.format_partition(one) for one in (*self.partitions[:1], *self.partitions[-1:])]
        return " … ".join(dict.fromkeys(ends)) or "no day at all"

    def by_day(self) -> dict[str, list[str]]:
        """Return the hours of each day, none in a table of days."""
        return {
            partitions.format_partition(day): [f"{one:%H}" for one in parts if isinstance(one, datetime)]
            for day, parts in groupby(self.partitions, partitions.day_of)
        }

    def partition_of(self, frame: pd.DataFrame) -> pd.Series[str]:
        """Return the name of each row's partition."""
        days = frame[DAY].astype(str)
        return days if self.columns == [DAY] else days + "T" + frame[HOUR].astype(str)

    def names_in(self, frame: pd.DataFrame) -> set[str]:
        """Return the names of the partitions that have rows."""
        return set() if frame.empty else {str(name) for name in self.partition_of(frame).unique()}

    def predicate(self) -> str:
        """Return the SQL condition that is true for the rows of this place."""
        if self.columns == [DAY]:
            return f"{DAY} IN ({_quoted(self.by_day())})"
        return " OR ".join(
            f"({DAY} = '{day}' AND {HOUR} IN ({_quoted(hours)}))" for day, hours in self.by_day().items()
        )

    def expression(self) -> pc.Expression | None:
        """Return what a row has to be, beyond being in a file of one of these days."""
        if self.columns == [DAY]:
            return None
        parts = ((pc.field(DAY) == day) & pc.field(HOUR).isin(hours) for day, hours in self.by_day().items())
        return reduce(or_, parts)


def with_partition_columns(frame: pd.DataFrame, one: Partition) -> pd.DataFrame:
    """Return the rows with the columns that place them in a partition."""
    if isinstance(one, datetime):
        return frame.assign(**{DAY: f"{one:%Y-%m-%d}", HOUR: f"{one:%H}"})
    return frame.assign(**{DAY: one.isoformat()})


def partition_from_columns(values: Mapping[str, str | None]) -> Partition:
    """Return the partition that these values of a table's partition columns name."""
    day = date.fromisoformat(str(values[DAY]))
    hour = values.get(HOUR)
    return datetime(day.year, day.month, day.day, int(hour), tzinfo=UTC) if hour else day


def parse_partition_name(name: str) -> Partition:
    """Return the partition of this name."""
    day, _, hour = name.partition("T")
    return partition_from_columns({DAY: day, HOUR: hour or None})


def _quoted(values: Collection[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
