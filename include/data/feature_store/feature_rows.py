"""Rows of a use case: its spine with the features of all views, each as of the time of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from include.data.feature_store.historical import join_columns
from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

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
    table_versions = versions or {}
    further = spine_columns or {}
    spine = selection.spine
    requested = list(selection.origins) if names is None else names
    own = selection.columns_of(spine.table, requested)
    identity = (*spine.columns, *partition_columns(spine))
    needed = dict.fromkeys((*identity, *own.values(), *further.values()))
    rows = lake.read_table(spine.table, days, version=table_versions.get(spine.table), columns=list(needed))
    columns = {name: rows[column] for name, column in own.items()}
    for view in selection.views:
        if view.name != spine.table:
            joined_columns = selection.columns_of(view.name, requested)
            columns |= _join(view, lake, rows, spine, joined_columns, table_versions.get(view.name))
    result = {name: rows[name] for name in identity}
    result |= {name: columns[name] for name in requested}
    result |= {name: rows[column] for name, column in further.items()}
    return dtypes.to_frame(pa.table(result))


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
