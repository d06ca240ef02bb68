"""Lakes of a replay: tables that do not change, read once, and the predictions of one strategy."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import table_reader
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY, HOUR, PartitionSet
from include.partitions import hours_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.data.lake.publications import Publication
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class FrozenTable:
    """
    A table in memory.

    `names` has the name of each row's partition (n,).
    """

    rows: pa.Table
    names: pa.ChunkedArray
    version: int
    publications: dict[Partition, Publication]


@dataclass(frozen=True)
class FrozenLake(Lake):
    """
    A lake that nobody writes to: each table that is needed is read once, and stays in memory.

    The days of a replay read the same tables hundreds of times; of hours, a year is 8,760 files.
    """

    _tables: dict[str, FrozenTable] = field(default_factory=dict, repr=False, compare=False)

    def scan(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Return a reader of rows as `Lake.scan` does; there is one version."""
        frozen = self._table(table)
        rows = frozen.rows
        if columns is not None:
            rows = rows.select(list(columns))
        if days is not None:
            partitions = _as_published(frozen, days)
            table_reader.require_partitions(table, list(frozen.publications), partitions, self.uri)
            rows = rows.filter(pc.is_in(frozen.names, pa.array(partitions.names, pa.string())))
        return rows.to_reader()

    def version(self, table: str) -> int | None:
        """Return the version."""
        return self._table(table).version

    def partitions(self, table: str, *, version: int | None = None) -> list[Partition]:
        """Return the published days or hours, in order."""
        return list(self._table(table).publications)

    def publications(self, table: str, *, version: int | None = None) -> dict[Partition, Publication]:
        """Return the publication of each partition."""
        return dict(self._table(table).publications)

    def counts(self, table: str) -> dict[Partition, int]:
        """Return the number of rows of each partition."""
        frozen = self._table(table)
        counted = pc.value_counts(frozen.names).to_pylist()
        by_name = {item["values"]: item["counts"] for item in counted}
        partitions = PartitionSet.of(list(frozen.publications))
        return {
            partition: by_name.get(name, 0)
            for partition, name in zip(partitions.partitions, partitions.names, strict=True)
        }

    def _table(self, table: str) -> FrozenTable:
        if table not in self._tables:
            rows = super().scan(table).read_all()
            names = rows[DAY]
            if HOUR in rows.column_names:
                names = pc.binary_join_element_wise(names, rows[HOUR], "T")
            version = super().version(table) or 0
            published = super().publications(table)
            in_order = {partition: published[partition] for partition in sorted(published)}
            self._tables[table] = FrozenTable(rows, names, version, in_order)
        return self._tables[table]


@dataclass(frozen=True)
class StrategyLake(Lake):
    """A lake of one strategy: the tables of `history`, and its own predictions in the table `own`."""

    history: FrozenLake = field(kw_only=True)
    own: str = field(kw_only=True)

    def scan(
        self,
        table: str,
        days: Collection[Partition] | None = None,
        *,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> pa.RecordBatchReader:
        """Return a reader of rows as `Lake.scan` does."""
        if table == self.own:
            return super().scan(table, days, version=version, columns=columns)
        return self.history.scan(table, days, columns=columns)

    def version(self, table: str) -> int | None:
        """Return the newest version; None if the table does not exist."""
        return super().version(table) if table == self.own else self.history.version(table)

    def partitions(self, table: str, *, version: int | None = None) -> list[Partition]:
        """Return the published days or hours, in order; empty without a table."""
        if table == self.own:
            return super().partitions(table, version=version)
        return self.history.partitions(table)

    def counts(self, table: str) -> dict[Partition, int]:
        """Return the number of rows of each partition; empty without a table."""
        return super().counts(table) if table == self.own else self.history.counts(table)


def _as_published(frozen: FrozenTable, days: Collection[Partition]) -> PartitionSet:
    """Return the partitions as the table has them: in a table of hours a day is its 24 hours."""
    if HOUR not in frozen.rows.column_names:
        return PartitionSet.of(days)
    hours: list[Partition] = []
    for day in days:
        hours.extend([day] if isinstance(day, datetime) else hours_of(day))
    return PartitionSet.of(hours)
