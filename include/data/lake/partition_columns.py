"""Partition columns of a table: the day, and in a table of hours the hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import reduce
from itertools import groupby
from operator import or_
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.declarations.base import DAY_COLUMN, HOUR_COLUMN
from include.partitions import DAYS, HOURS, contiguous_ranges, day_of, format_key, format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from include.data.lake.dtypes import RowBatches
    from include.partitions import Granularity, Partition

DAY = DAY_COLUMN
HOUR = HOUR_COLUMN
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True)
class PartitionSet:
    """Days or hours in order, with the values and conditions of a table's partition columns."""

    partitions: tuple[Partition, ...]

    @classmethod
    def of(cls, partitions: Collection[Partition]) -> PartitionSet:
        """Return the set of these partitions, which may come in any order and repeatedly."""
        return cls(tuple(sorted(set(partitions))))

    @classmethod
    def parse(cls, key: str) -> PartitionSet:
        """Return the set with this `key`."""
        partitions: list[Partition] = []
        for part in filter(None, key.split(",")):
            partitions += (HOURS if "T" in part else DAYS).parse(part)
        return cls(tuple(partitions))

    @property
    def key(self) -> str:
        """All partitions as text: `2013-01-01..2013-01-03,2013-01-07`."""
        return ",".join(format_key(partitions) for partitions in contiguous_ranges(self.partitions))

    @property
    def columns(self) -> list[str]:
        """Columns that the table is partitioned by."""
        by_hour = self.partitions and isinstance(self.partitions[0], datetime)
        return [DAY, HOUR] if by_hour else [DAY]

    @property
    def unit(self) -> Granularity:
        """What the partitions are: days or hours."""
        return "hour" if HOUR in self.columns else "day"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the partitions."""
        return tuple(format_partition(partition) for partition in self.partitions)

    def __str__(self) -> str:
        """Return the name of the only partition, or those of the first and the last."""
        names = self.names
        if not names:
            return "no day at all"
        return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"

    def by_day(self) -> dict[str, list[str]]:
        """Return the hours of each day, such as "05"; no hours in a table of days."""
        days = groupby(self.partitions, day_of)
        return {format_partition(day): _hour_values(partitions) for day, partitions in days}

    def partition_of(self, frame: pd.DataFrame) -> pd.Series[str]:
        """Return the name of each row's partition, (n,)."""
        days = frame[DAY].astype(str)
        return days if self.columns == [DAY] else days + "T" + frame[HOUR].astype(str)

    def names_in(self, rows: pd.DataFrame | RowBatches) -> set[str]:
        """Return the names of the partitions that have rows in `rows`."""
        if isinstance(rows, pd.DataFrame):
            return set() if rows.empty else {str(name) for name in self.partition_of(rows).unique()}
        names: set[str] = set()
        for batch in rows.batches(self.columns):
            names.update(map(str, pc.unique(self.partition_names(batch)).to_pylist()))
        return names

    def partition_names(self, rows: pa.Table | pa.RecordBatch) -> pa.Array | pa.ChunkedArray:
        """Return the name of the partition of each row of an Arrow table, (n,)."""
        values = [rows.column(name).cast(pa.string()) for name in self.columns]
        return values[0] if len(values) == 1 else pc.binary_join_element_wise(*values, "T")

    def predicate(self) -> str:
        """Return the SQL condition that selects the rows of these partitions."""
        if self.columns == [DAY]:
            return f"{DAY} IN ({_sql_texts(self.by_day())})"
        return " OR ".join(
            f"({DAY} = '{day}' AND {HOUR} IN ({_sql_texts(hours)}))" for day, hours in self.by_day().items()
        )

    def expression(self) -> pc.Expression | None:
        """Return the Arrow condition that selects these hours in files of their days; None if it is all."""
        if self.columns == [DAY]:
            return None
        # Arrow looks at the whole condition for each file: one part for each day would be quadratic.
        days_with: dict[tuple[str, ...], list[str]] = {}
        for day, hours in self.by_day().items():
            days_with.setdefault(tuple(hours), []).append(day)
        if all(len(hours) == HOURS_PER_DAY for hours in days_with):
            return None
        parts = (
            pc.field(DAY).isin(days) & pc.field(HOUR).isin(list(hours)) for hours, days in days_with.items()
        )
        return reduce(or_, parts)


def with_partition_columns(frame: pd.DataFrame, partition: Partition) -> pd.DataFrame:
    """Return the rows with the partition columns of this day or hour."""
    if isinstance(partition, datetime):
        return frame.assign(**{DAY: f"{partition:%Y-%m-%d}", HOUR: f"{partition:%H}"})
    return frame.assign(**{DAY: partition.isoformat()})


def append_partition_columns(table: pa.Table, partition: Partition) -> pa.Table:
    """Return the rows of an Arrow table with the partition columns of this day or hour."""
    values = {DAY: f"{partition:%Y-%m-%d}"}
    if isinstance(partition, datetime):
        values[HOUR] = f"{partition:%H}"
    for name, value in values.items():
        table = table.append_column(name, pa.repeat(pa.scalar(value), table.num_rows))
    return table


def partition_from_columns(values: Mapping[str, str | None]) -> Partition:
    """Return the day or hour that these values of the partition columns describe."""
    day = date.fromisoformat(str(values[DAY]))
    hour = values.get(HOUR)
    return datetime(day.year, day.month, day.day, int(hour), tzinfo=UTC) if hour else day


def parse_partition_name(name: str) -> Partition:
    """Return the day of `2013-07-01`, or the hour of `2013-07-01T05`."""
    day, _, hour = name.partition("T")
    return partition_from_columns({DAY: day, HOUR: hour or None})


def _hour_values(partitions: Iterable[Partition]) -> list[str]:
    return [f"{partition:%H}" for partition in partitions if isinstance(partition, datetime)]


def _sql_texts(values: Collection[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
