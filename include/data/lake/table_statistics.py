"""Statistics of a table's newest partitions, read from its log: rows, nulls, and when each was published."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.data.lake.commit_log import find_table
from include.data.lake.partition_columns import DAY, HOUR, partition_from_columns
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from include.data.lake.delta_tables import Lake
    from include.partitions import Partition

# The null shares of a column are those of this many newest partitions.
NEWEST_PARTITIONS = 28
_ROWS = "num_records"
_NULLS = "null_count."
_MINIMUM = "min."
_MAXIMUM = "max."
_PARTITION_COLUMNS = (f"partition.{DAY}", f"partition.{HOUR}")
# The log has the milliseconds of a moment, without the microseconds after them.
_PRECISION = timedelta(milliseconds=1)
_LAST_MOMENT = datetime.max - _PRECISION


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """
    What the log of a table says about its partitions.

    Attributes
    ----------
    partitions : int
        Number of partitions.
    rows : int
        Number of rows of all partitions.
    newest : Partition or None
        The newest partition; None without one.
    published_at : datetime or None
        When the newest partition was published; None if the commit is not in the log.
    null_shares : mapping of str to float
        Share of nulls (0 to 1) of each column in the newest `NEWEST_PARTITIONS` partitions. A column without
        statistics in the log is missing.
    """

    partitions: int = 0
    rows: int = 0
    newest: Partition | None = None
    published_at: datetime | None = None
    null_shares: Mapping[str, float] = field(default_factory=dict)


def table_statistics(lake: Lake, table: str) -> TableStatistics:
    """Return the statistics of the newest version of a table; no file with rows is read."""
    counts = lake.counts(table)
    if not counts:
        return TableStatistics()
    in_order = sorted(counts)
    publication = lake.publications(table).get(in_order[-1])
    return TableStatistics(
        partitions=len(counts),
        rows=sum(counts.values()),
        newest=in_order[-1],
        published_at=publication.published_at if publication else None,
        null_shares=_null_shares(_null_counts(lake, table, set(in_order[-NEWEST_PARTITIONS:]))),
    )


def value_ranges(lake: Lake, table: str, column: str) -> dict[Partition, tuple[Any, Any]]:
    """
    Return the smallest and the greatest value of a column in each partition; no file with rows is read.

    The log cuts off a long text, and the microseconds of a moment, so the values in the file lie between the
    two. A partition is missing if the log does not have them of each file.
    """
    names = {f"{_MINIMUM}{column}", f"{_MAXIMUM}{column}"}
    ranges: dict[Partition, tuple[Any, Any]] = {}
    unknown: set[Partition] = set()
    for file in _list_files(lake, table, names.__contains__):
        partition = _partition_of_file(file)
        minimum = file.get(f"{_MINIMUM}{column}")
        maximum = file.get(f"{_MAXIMUM}{column}")
        if minimum is None or maximum is None:
            unknown.add(partition)
            continue
        earlier = ranges.get(partition, (minimum, maximum))
        ranges[partition] = (min(minimum, earlier[0]), max(maximum, earlier[1]))
    return {
        partition: (minimum, _upper_bound(maximum))
        for partition, (minimum, maximum) in ranges.items()
        if partition not in unknown
    }


def _upper_bound(maximum: Any) -> Any:
    """Return a value that is at least the greatest one of which the log has `maximum`."""
    if not isinstance(maximum, datetime):
        return maximum
    return min(maximum, _LAST_MOMENT.replace(tzinfo=maximum.tzinfo)) + _PRECISION


def _null_counts(lake: Lake, table: str, partitions: Collection[Partition]) -> list[dict[str, Any]]:
    """Return the numbers of rows and nulls in the files of some partitions."""
    files = _list_files(lake, table, lambda name: name == _ROWS or name.startswith(_NULLS))
    return [file for file in files if _partition_of_file(file) in partitions]


def _list_files(lake: Lake, table: str, is_needed: Callable[[str], bool]) -> list[dict[str, Any]]:
    """Return what the log says of each file: its partition, and the statistics with a needed name."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = find_table(lake, table)
        if opened is None:
            return []
        files = pa.table(opened.get_add_actions(flatten=True))
    # Objects of Python are made of these columns alone: a table has many.
    names = [name for name in files.column_names if name in _PARTITION_COLUMNS or is_needed(name)]
    listed: list[dict[str, Any]] = files.select(names).to_pylist()
    return listed


def _partition_of_file(file: Mapping[str, Any]) -> Partition:
    return partition_from_columns({name: file.get(f"partition.{name}") for name in (DAY, HOUR)})


def _null_shares(files: list[dict[str, Any]]) -> dict[str, float]:
    rows = sum(file[_ROWS] for file in files)
    nulls: Counter[str] = Counter()
    counted: Counter[str] = Counter()
    for file in files:
        for name, count in file.items():
            if name.startswith(_NULLS) and count is not None:
                nulls[name.removeprefix(_NULLS)] += count
                counted[name.removeprefix(_NULLS)] += file[_ROWS]
    # A file without statistics of a column makes its share unknown.
    return {name: nulls[name] / rows for name in nulls if rows and counted[name] == rows}
