"""Rows and partitions of an open Delta table."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from include.data.lake.partition_columns import DAY, HOUR, PartitionSet, partition_from_columns
from include.errors import DataError, PartitionMissing
from include.partitions import format_partition, hours_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from deltalake import DeltaTable
    from pyarrow.dataset import Dataset, Expression, Fragment

    from include.partitions import Partition

# Row groups that are read before they are asked for; their rows are in memory.
GROUPS_AHEAD = 4
Item = TypeVar("Item")
Result = TypeVar("Result")


def scan_rows(
    table: str, opened: DeltaTable, partitions: PartitionSet | None, columns: Sequence[str] | None = None
) -> pa.RecordBatchReader:
    """
    Return a reader of rows of an open table, which has at most a few row groups in memory.

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
    names = schema.names if columns is None else list(columns)
    batches = _read_batches(table, opened.version(), dataset.replace_schema(schema), names, row_filter)
    return pa.RecordBatchReader.from_batches(pa.schema([schema.field(name) for name in names]), batches)


def _read_batches(
    table: str, version: int, dataset: Dataset, names: Sequence[str], row_filter: Expression | None
) -> Iterator[pa.RecordBatch]:
    """
    Yield the rows of each row group.

    A scanner of the whole data set would read ahead until it held 1 GiB, whatever its `batch_readahead`.
    """

    def read(group: Fragment) -> list[pa.RecordBatch]:
        rows = group.to_table(schema=dataset.schema, columns=names, filter=row_filter)
        return list(rows.to_batches())

    try:
        with ThreadPoolExecutor(GROUPS_AHEAD, "read-rows") as threads:
            files = dataset.get_fragments(filter=row_filter)
            groups = _map_ahead(threads, lambda file: list(file.split_by_row_group()), files)
            for batches in _map_ahead(threads, read, chain.from_iterable(groups)):
                yield from batches
    except FileNotFoundError as error:
        raise DataError(
            f"Version {version} of {table} cannot be read, since its files were deleted. "
            "Name a newer version, or keep versions for longer."
        ) from error


def _map_ahead(
    threads: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yield the result for each item, in order; at most `GROUPS_AHEAD` others are made or wait."""
    pending: deque[Future[Result]] = deque()
    for item in items:
        pending.append(threads.submit(function, item))
        if len(pending) > GROUPS_AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


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
            f"first is {format_partition(absent[0])}{_name_neighbours(published, absent[0])}. "
            f"Run the DAG that publishes {table} for them first."
        )


def _name_neighbours(published: Collection[Partition], absent: Partition) -> str:
    """Return the published partitions before and after an absent one, in words."""
    before = max((partition for partition in published if partition < absent), default=None)
    after = min((partition for partition in published if partition > absent), default=None)
    nearest = [format_partition(partition) for partition in (before, after) if partition is not None]
    return f", the nearest published are {' and '.join(nearest)}" if nearest else ""


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
