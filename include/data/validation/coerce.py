"""The declared columns of a frame in their types, and the raw values that do not fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from include.data.lake import dtypes
from include.data.reading.table import INTERNAL_COLUMNS, MISFITS, misfits_by_column, read_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.data.validation.batch import Batch
    from include.declarations import Column

_NO_MISFITS = pd.Series(dtype=object)


@dataclass(frozen=True)
class CoercedColumns:
    """
    Declared columns in their types.

    Attributes
    ----------
    frame : pandas.DataFrame
        The declared columns (n rows) that exist, null where a value is not of the declared type; and the
        internal columns of `include.data.reading.table`.
    misfits : mapping of str to pandas.Series
        By column: the raw values that are not of the declared type; the index is that of their rows.
    """

    frame: pd.DataFrame = field(repr=False)
    misfits: Mapping[str, pd.Series[Any]] = field(repr=False)

    @property
    def typed(self) -> dict[str, pd.Series[Any]]:
        """The declared columns by name."""
        return {name: self.frame[name] for name in self.misfits}


def coerce_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> CoercedColumns:
    """Return those of `columns` that `frame` has in their declared types; rows of a source have them."""
    if MISFITS not in frame.columns:
        read = dtypes.to_frame(read_frame(frame, columns))
        read.index = frame.index
        frame = read
    existing = [column.name for column in columns if column.name in frame.columns]
    misfits = misfits_by_column(frame[MISFITS])
    return CoercedColumns(
        frame[[*existing, *INTERNAL_COLUMNS]],
        {name: misfits.get(name, _NO_MISFITS) for name in existing},
    )


def coerce_batch(
    batch: Batch, columns: Sequence[Column]
) -> tuple[Batch, Batch, Mapping[str, pd.Series[Any]]]:
    """
    Return the rows with the partition columns and the declared columns in their types.

    Returns
    -------
    tuple
        The rows with the internal columns; the rows without them; and the misfits by column, whose index is
        the number of their rows.
    """
    partition_columns = batch.partitions.columns
    table = batch.rows
    if isinstance(table, pd.DataFrame):
        table = _read_batch_frame(table, columns, partition_columns)
    # A staged frame without rows has columns of no type.
    for position, name in enumerate(table.column_names):
        if name in partition_columns:
            table = table.set_column(position, name, table[name].cast(pa.string()))
    existing = [column.name for column in columns if column.name in table.column_names]
    misfits = dict.fromkeys(existing, _NO_MISFITS)
    if table[MISFITS].null_count < table.num_rows:
        texts = pd.Series(table[MISFITS].to_pandas().to_numpy(), index=batch.numbers)
        by_column = misfits_by_column(texts)
        misfits = {name: by_column.get(name, _NO_MISFITS) for name in existing}
    internal = table.select([*partition_columns, *existing, *INTERNAL_COLUMNS])
    typed = table.select([*partition_columns, *existing])
    return batch.with_rows(internal), batch.with_rows(typed), misfits


def _read_batch_frame(
    frame: pd.DataFrame, columns: Sequence[Column], partition_columns: Sequence[str]
) -> pa.Table:
    """Return a frame as an Arrow table; rows of a source are in their types already."""
    is_read = MISFITS in frame.columns
    table = pa.Table.from_pandas(frame, preserve_index=False) if is_read else read_frame(frame, columns)
    texts = frame[list(partition_columns)].astype(object)
    names = {name: pa.array(texts[name], pa.string(), from_pandas=True) for name in partition_columns}
    others = {name: table[name] for name in table.column_names if name not in names}
    return pa.table(names | others)
