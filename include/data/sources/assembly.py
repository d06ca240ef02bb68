"""Extracts of files: one file per partition, or the rows of some partitions in one file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import partition_columns
from include.data.sources.base import Extract
from include.data.sources.columnar import parse_parquet
from include.data.sources.delimited import parse_delimited
from include.data.sources.formats import Block, Layout, translate_unreadable
from include.data.sources.json_lines import parse_json_lines
from include.data.sources.spill import Spill
from include.declarations import FileSource, HttpSource
from include.errors import DeclarationError, PartitionMissing
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from include.declarations import Dataset
    from include.partitions import Calendar, Partition

    Locate: TypeAlias = Callable[[Dataset, Partition], str]
    Parser: TypeAlias = Callable[[Iterable[bytes], Layout], Iterator[Block]]

PARSERS: Mapping[str, Parser] = {
    "csv": parse_delimited,
    "jsonl": parse_json_lines,
    "parquet": parse_parquet,
}
# Days of every zone begin at a multiple of this after midnight in UTC.
QUARTER_US = 15 * 60 * 1_000_000
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def assemble(
    dataset: Dataset,
    contents: Iterable[tuple[Partition, Iterable[bytes]]],
    layout: Layout,
    location: Locate,
) -> Extract:
    """
    Return the rows of files of one layout, which are parsed while they are read.

    Parameters
    ----------
    dataset
        The dataset of the files.
    contents
        Chunks of the content of each file, with its partition.
    layout
        Format of all files.
    location
        Function that names the file of a partition in messages.

    Raises
    ------
    DataError
        With the file that cannot be read, and the reason; of large files when their rows are read.
    """
    remarks: list[str] = []
    files: dict[tuple[str, ...], list[str]] = {}

    def read_tables() -> Iterator[pa.Table]:
        parse = PARSERS[layout.source.format]
        for partition, chunks in contents:
            # A dict keeps the names in their order.
            undeclared: dict[str, None] = {}
            with translate_unreadable(dataset, location(dataset, partition)):
                for block in parse(chunks, layout):
                    undeclared |= dict.fromkeys(block.undeclared)
                    yield partition_columns.append_partition_columns(block.table, partition)
            if undeclared:
                files.setdefault(tuple(undeclared), []).append(location(dataset, partition))
        remarks.extend(_describe_undeclared(names, paths) for names, paths in files.items())

    return Extract.ahead(read_tables(), remarks)


def _describe_undeclared(names: Sequence[str], paths: Sequence[str]) -> str:
    """Return one remark on all files that have the same columns which are not declared."""
    subject = f"{paths[0]} has" if len(paths) == 1 else f"{len(paths):,} files, the first {paths[0]}, have"
    return f"{subject} columns that are not declared: {', '.join(names)}"


def extract_rows(
    dataset: Dataset, chunks: Iterable[bytes], partitions: Sequence[Partition], location: str
) -> Extract:
    """
    Return the rows of some partitions in the file of all, which is parsed once, while it is read.

    A line that cannot be parsed, and a row that names no partition, belong to the newest partition of the
    file, which refuses them.

    Raises
    ------
    PartitionMissing
        If the file has no row of a partition, nor of a later one; of a large file at its end.
    DataError
        If the file cannot be read; of a large file when its rows are read.
    """
    remarks: list[str] = []
    layout = _split_layout(dataset)

    def read_tables() -> Iterator[pa.Table]:
        # A dict keeps the names in their order.
        undeclared: dict[str, None] = {}
        newest: Partition | None = None
        with Spill() as unassigned:
            for block in _parse(dataset, chunks, layout, location):
                undeclared |= dict.fromkeys(block.undeclared)
                rows = _SplitRows.of(dataset, block.table)
                newest = rows.newest_with(newest)
                # A block without rows of these partitions gives the schema.
                for partition in rows.among(partitions) or partitions[:1]:
                    yield partition_columns.append_partition_columns(rows.select(partition), partition)
                unassigned.write(rows.select(None))
            _require_landed(dataset, partitions, newest, location)
            if newest is not None and newest in partitions:
                for table in unassigned.read():
                    yield partition_columns.append_partition_columns(table, newest)
        if undeclared:
            remarks.append(f"{location} has columns that are not declared: {', '.join(undeclared)}")

    return Extract.ahead(read_tables(), remarks)


def newest_partition(dataset: Dataset, chunks: Iterable[bytes], location: str) -> Partition | None:
    """
    Return the newest partition in the file of all partitions; None if no row names one.

    Raises
    ------
    DataError
        If the file cannot be read.
    """
    layout = _split_layout(dataset)
    columns = tuple(column for column in dataset.columns if column.name == layout.source.split_by)
    newest: Partition | None = None
    for block in _parse(dataset, chunks, replace(layout, columns=columns), location):
        newest = _SplitRows.of(dataset, block.table).newest_with(newest)
    return newest


@dataclass(frozen=True)
class _SplitRows:
    """Rows of a file of all partitions; `positions` (n,) are those in `partitions`, -1 for none."""

    table: pa.Table = field(repr=False)
    positions: np.ndarray[Any, Any] = field(repr=False)
    partitions: list[Partition | None]

    @classmethod
    def of(cls, dataset: Dataset, table: pa.Table) -> _SplitRows:
        """Find the partition of each row."""
        column = table[_split_layout(dataset).source.split_by]
        return cls(table, *_find_partitions(column, dataset.calendar))

    def newest_with(self, newest: Partition | None) -> Partition | None:
        """Return the newest of `newest` and the partitions that rows name."""
        return max((partition for partition in (newest, *self.partitions) if partition), default=None)

    def among(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Return those of the partitions that have rows, in their order."""
        existing = set(self.partitions)
        return [partition for partition in partitions if partition in existing]

    def select(self, partition: Partition | None) -> pa.Table:
        """Return the rows of a partition; None for the rows that name none."""
        # The last one is that of position -1.
        is_selected = np.array([other == partition for other in (*self.partitions, None)], dtype=bool)
        return self.table.filter(pa.array(is_selected[self.positions]))


def _parse(dataset: Dataset, chunks: Iterable[bytes], layout: Layout, location: str) -> Iterator[Block]:
    with translate_unreadable(dataset, location):
        yield from PARSERS[layout.source.format](chunks, layout)


def _require_landed(
    dataset: Dataset, partitions: Sequence[Partition], newest: Partition | None, location: str
) -> None:
    absent = [partition for partition in partitions if newest is None or partition > newest]
    if absent:
        raise PartitionMissing(
            f"{location} has no row of {format_partition(absent[0])}, nor of a later partition. "
            f"Ask the sender of {dataset.name} for it."
        )


def _split_layout(dataset: Dataset) -> Layout:
    if not isinstance(dataset.source, FileSource | HttpSource):
        raise DeclarationError(f"{dataset.name} comes from {dataset.source.kind}: no file has its rows.")
    return Layout(dataset.columns, dataset.source)


def _find_partitions(
    values: pa.ChunkedArray, calendar: Calendar
) -> tuple[np.ndarray[Any, Any], list[Partition | None]]:
    """Return the position (n,) of each row's partition, -1 for a null, and the partitions."""
    is_moment = pa.types.is_timestamp(values.type)
    if is_moment:
        numbers = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
        is_null = values.is_null().to_numpy()
        keys = pa.array(np.floor_divide(numbers, QUARTER_US), mask=is_null)
    else:
        keys = values.combine_chunks()
    encoded = keys.dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    positions = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    find = _partition_at if is_moment else _partition_of
    return positions, [find(key, calendar) for key in encoded.dictionary.to_pylist()]


def _partition_at(quarter: int, calendar: Calendar) -> Partition | None:
    try:
        return calendar.partition_at(_EPOCH + timedelta(microseconds=quarter * QUARTER_US))
    except OverflowError:
        # The first or the last day of time, in another zone.
        return None


def _partition_of(text: str, calendar: Calendar) -> Partition | None:
    try:
        return calendar.partition_of(date.fromisoformat(text)) if _DAY.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None
