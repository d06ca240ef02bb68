"""Rows of a use case: its spine with the features of all views, each as of the time of the prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa
import pyarrow.compute as pc

from include.data.feature_store.historical import join_columns
from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.declarations.relations.feature_selection import FeatureSelection, Spine
    from include.partitions import Partition


def read_feature_rows(
    selection: FeatureSelection,
    lake: Lake,
    days: Collection[Partition],
    *,
    names: Sequence[str] | None = None,
    versions: Mapping[str, int] | None = None,
    spine_columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """
    Return the rows of a use case in some days or hours of its spine.

    Each table is read once, with the columns and days that are needed.

    Parameters
    ----------
    names
        Features and auxiliary columns; all by default.
    versions
        Version of each table; the newest of those that are not named.
    spine_columns
        Further columns of the spine, such as the label's, by their names in the result.

    Returns
    -------
    pandas.DataFrame
        Key, entity, time and partition columns of the spine, `names`, then `spine_columns` (n rows).
    """
    reading = _Reading.of(selection, names, spine_columns or {}, versions or {})
    spine = selection.spine
    rows = lake.read_table(
        spine.table, days, version=reading.versions.get(spine.table), columns=reading.columns
    )
    return dtypes.to_frame(reading.join(lake, rows))


def newest_versions(selection: FeatureSelection, lake: Lake) -> dict[str, int]:
    """Return the newest version of each table that the rows of a use case are read from."""
    names = dict.fromkeys((selection.spine.table, *(view.name for view in selection.views)))
    versions = {name: lake.version(name) for name in names}
    return {name: version for name, version in versions.items() if version is not None}


def scan_feature_rows(
    selection: FeatureSelection,
    lake: Lake,
    days: Collection[Partition],
    *,
    names: Sequence[str],
    versions: Mapping[str, int],
    rows_per_table: int,
) -> Iterator[pa.Table]:
    """
    Yield the rows that `read_feature_rows` returns, in tables of `rows_per_table`; only the last has fewer.

    Each table needs the memory of its rows, and of the rows of the other views that they are joined to.
    Without rows, one empty table is yielded.
    """
    table = selection.spine.table
    reading = _Reading.of(selection, names, {}, versions)
    scan = lake.scan(table, days, version=versions.get(table), columns=reading.columns)
    for rows in _regroup(scan, rows_per_table):
        yield reading.join(lake, rows)


def count_feature_rows(
    selection: FeatureSelection, lake: Lake, days: Collection[Partition], *, versions: Mapping[str, int]
) -> int:
    """Return the number of rows that `scan_feature_rows` yields; no feature is read."""
    table = selection.spine.table
    scan = lake.scan(table, days, version=versions.get(table), columns=[DAY])
    return sum(batch.num_rows for batch in scan)


@dataclass(frozen=True, slots=True)
class _Reading:
    """Which columns of the spine are read, and how a table of the rows is made of them."""

    selection: FeatureSelection
    names: Sequence[str]
    own: Mapping[str, str]
    further: Mapping[str, str]
    versions: Mapping[str, int]

    @classmethod
    def of(
        cls,
        selection: FeatureSelection,
        names: Sequence[str] | None,
        further: Mapping[str, str],
        versions: Mapping[str, int],
    ) -> Self:
        requested = list(selection.origins) if names is None else names
        own = selection.columns_of(selection.spine.table, requested)
        return cls(selection, requested, own, further, versions)

    @property
    def identity(self) -> tuple[str, ...]:
        spine = self.selection.spine
        return (*spine.columns, *partition_columns(spine))

    @property
    def columns(self) -> list[str]:
        """Columns of the spine that are needed."""
        return list(dict.fromkeys((*self.identity, *self.own.values(), *self.further.values())))

    def join(self, lake: Lake, rows: pa.Table) -> pa.Table:
        """Return identity, features and further columns of some rows of the spine."""
        spine = self.selection.spine
        columns = {name: rows[column] for name, column in self.own.items()}
        for view in self.selection.views:
            if view.name != spine.table:
                joined_columns = self.selection.columns_of(view.name, self.names)
                columns |= _join(view, lake, rows, spine, joined_columns, self.versions.get(view.name))
        result = {name: rows[name] for name in self.identity}
        result |= {name: columns[name] for name in self.names}
        result |= {name: rows[column] for name, column in self.further.items()}
        return pa.table(result)


def _regroup(batches: pa.RecordBatchReader, n_rows: int) -> Iterator[pa.Table]:
    """Yield the rows in tables of `n_rows`; the last one has fewer, or none if there are no rows at all."""
    parts: list[pa.RecordBatch] = []
    missing = n_rows
    is_empty = True
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, missing)
            parts.append(part)
            start += part.num_rows
            missing -= part.num_rows
            if not missing:
                yield pa.Table.from_batches(parts)
                is_empty = False
                parts = []
                missing = n_rows
    if parts or is_empty:
        yield pa.Table.from_batches(parts, schema=batches.schema)


def partition_columns(spine: Spine) -> tuple[str, ...]:
    """Return the columns with the partition of a row."""
    return (DAY, HOUR) if spine.granularity == "hour" else (DAY,)


def _join(
    view: FeatureView, lake: Lake, rows: pa.Table, spine: Spine, names: Mapping[str, str], version: int | None
) -> dict[str, pa.ChunkedArray]:
    """Return columns of a view as of the time of each row's prediction, by their names in the use case."""
    if not names:
        return {}
    predicted_at = pc.subtract(rows[spine.time], pa.scalar(spine.horizon, pa.duration("us")))
    columns = list(dict.fromkeys(names.values()))
    joined = join_columns(view, lake, rows.select(view.keys), predicted_at, version=version, columns=columns)
    return {name: _nullable(joined[column]) for name, column in names.items()}


def _nullable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a joined column; integers as numbers, since in requests only numbers can be missing."""
    return column.cast(pa.float64(), safe=False) if pa.types.is_integer(column.type) else column
