"""Rows and partitions of an open Delta table."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from include.data.lake.partition_columns import DAY, HOUR, PartitionSet, partition_from_columns
from include.errors import DataError, PartitionMissing
from include.partitions import format_partition, hours_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from deltalake import DeltaTable
    from pyarrow.dataset import Scanner

    from include.partitions import Partition


def scan_rows(
    table: str, opened: DeltaTable, partitions: PartitionSet | None, columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """
    Return a reader of rows of an open table, which reads one batch of rows after the other.

    Parameters
    ----------
    table
        Name of the table, for messages.
    opened
        The version that is read.
    partitions
        Partitions whose rows are read; None for all.
    columns
        Columns that are read; None for all.

    Raises
    ------
    DataError
        If the files of the version were deleted; the reader raises it.
    """
    schema = pa.schema(opened.schema().to_arrow())
    if partitions is not None and not partitions.partitions:
        empty = schema.empty_table()
        return (empty if columns is None else empty.select(columns)).to_reader()
    # Files of other days are not opened; the filter selects hours within the files.
    file_filter = None if partitions is None else [(DAY, "in", list(partitions.by_day()))]
    row_filter = None if partitions is None else partitions.expression()
    # Otherwise the statistics of all columns of each file would become conditions, of which none is needed.
    located = pa.schema([schema.field(name) for name in opened.metadata().partition_columns])
    dataset = opened.to_pyarrow_dataset(schema=located, file_pruning_predicate=file_filter)
    scanner = dataset.replace_schema(schema).scanner(
        columns=None if columns is None else list(columns), filter=row_filter, use_threads=True
    )
    return pa.RecordBatchReader.from_batches(
        scanner.projected_schema, _read_batches(table, opened.version(), scanner)
    )


def _read_batches(table: str, version: int, scanner: Scanner) -> Iterator[pa.RecordBatch]:
    try:
        yield from scanner.to_reader()
    except FileNotFoundError as error:
        raise DataError(
            f"Version {version} of {table} cannot be read, since its files were deleted. "
            "Name a newer version, or keep versions for longer."
        ) from error


def require_columns(table: str, opened: DeltaTable, columns: Sequence[str]) -> None:
    """Raise DataError unless the table has these columns."""
    existing = [field.name for field in opened.schema().fields]
    unknown = sorted(set(columns) - set(existing))
    if unknown:
        raise DataError(
            f"{table} has no column {', '.join(unknown)}; it has {', '.join(existing)}. If it was declared "
            f"since, build the partitions again (`airworthy features rebuild {table}` for a feature view), "
            "and wait for the run."
        )


def require_partitions(
    table: str, published: Collection[Partition], partitions: PartitionSet, lake_uri: str
) -> None:
    """Raise PartitionMissing unless all of these partitions are published."""
    absent = sorted(set(partitions.partitions) - set(published))
    if absent:
        unit = partitions.unit
        raise PartitionMissing(
            f"{table}: {len(absent)} of {len(partitions.names)} {unit}s are not in the lake {lake_uri}, the "
            f"first is {format_partition(absent[0])}. Run the DAG that publishes {table} for them first."
        )


def partitions_with_rows(opened: DeltaTable) -> list[Partition]:
    """Return the partitions that have rows, in order."""
    return sorted({partition_from_columns(values) for values in opened.partitions()})


def count_rows(opened: DeltaTable) -> dict[Partition, int]:
    """Return the number of rows of each partition that has some, from the table's log."""
    counts: dict[Partition, int] = {}
    for file in pa.table(opened.get_add_actions(flatten=True)).to_pylist():
        partition = partition_from_columns({name: file.get(f"partition.{name}") for name in (DAY, HOUR)})
        counts[partition] = counts.get(partition, 0) + file["num_records"]
    return counts


def match_granularity(opened: DeltaTable, partitions: Collection[Partition]) -> PartitionSet:
    """Return the partitions as the table has them: in a table of hours a day is its 24 hours."""
    if opened.metadata().partition_columns == [DAY]:
        return PartitionSet.of(partitions)
    hours: list[Partition] = []
    for partition in partitions:
        hours.extend([partition] if isinstance(partition, datetime) else hours_of(partition))
    return PartitionSet.of(hours)
