"""The rows of one validation, or a part of them, each with the partition that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import dtypes
from include.data.lake.partition_columns import DAY, HOUR, PartitionSet
from include.errors import DataError
from include.partitions import DAYS, Calendar

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.partitions import Partition

    Array = np.ndarray[Any, Any]

COLUMN_FORMATS = {DAY: f"`{DAY}` (YYYY-MM-DD)", HOUR: f"`{HOUR}` (HH)"}


@dataclass(frozen=True)
class Batch:
    """
    Rows and the partition of each row.

    The positions are computed once, by `Batch.of`, where the staged rows enter the gate; a selection of rows
    selects their positions, too. The staged rows have no column of positions: the partition columns name the
    partition of each row already, and a second column would have to be removed from every row that is
    published or quarantined.

    Attributes
    ----------
    rows : pyarrow.Table or pandas.DataFrame
        Rows (n, columns); a frame is not read into declared types yet.
    numbers : numpy.ndarray
        int64 (n,): number of each row among all validated rows, from 0.
    positions : numpy.ndarray
        int64 (n,): position in `partitions.partitions`, -1 for a row of a partition that was not requested.
    partitions : PartitionSet
        The requested partitions in order.
    incoming_rows : numpy.ndarray
        int64 (number of partitions,): rows of each requested partition before any row was rejected.
    calendar : Calendar
        When each partition begins and ends.
    """

    rows: pa.Table | pd.DataFrame = field(repr=False)
    numbers: Array = field(repr=False)
    positions: Array = field(repr=False)
    partitions: PartitionSet
    incoming_rows: Array = field(repr=False)
    calendar: Calendar = DAYS

    @classmethod
    def of(
        cls,
        rows: pa.Table | pd.DataFrame,
        partitions: Collection[Partition],
        calendar: Calendar = DAYS,
        *,
        first_number: int = 0,
    ) -> Batch:
        """
        Number the rows from `first_number`, and find the partition of each row.

        Raises
        ------
        DataError
            If the rows lack a column that names the partition of a row, or have a column twice.
        """
        requested = PartitionSet.of(partitions)
        names = list(rows.columns if isinstance(rows, pd.DataFrame) else rows.column_names)
        if not set(requested.columns) <= set(names) or len(set(names)) < len(names):
            formats = " and ".join(COLUMN_FORMATS[column] for column in requested.columns)
            raise DataError(f"The rows need a column {formats} and each column once, not {names}.")
        numbers = np.arange(first_number, first_number + len(rows))
        if isinstance(rows, pd.DataFrame):
            rows = rows.set_axis(numbers)
            positions = pd.Index(list(requested.names), dtype=object).get_indexer(
                pd.Index(requested.partition_of(rows), dtype=object)
            )
        else:
            indices = pc.index_in(requested.partition_names(rows), pa.array(requested.names, pa.string()))
            positions = pc.fill_null(indices, -1).to_numpy()
        return cls(rows, numbers, positions, requested, _count(positions, len(requested.names)), calendar)

    @classmethod
    def unpartitioned(cls, frame: pd.DataFrame) -> Batch:
        """Return all rows of `frame` as rows of no partition; the index stays as it is."""
        nowhere = np.full(len(frame), -1)
        return cls(frame, frame.index.to_numpy(), nowhere, PartitionSet(()), np.zeros(0, dtype=int))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a frame; the index holds the number of each row."""
        if isinstance(self.rows, pd.DataFrame):
            return self.rows
        return dtypes.to_frame(self.rows).set_axis(self.numbers)

    def frame_of(self, columns: Sequence[str]) -> pd.DataFrame:
        """Return some columns of the frame."""
        if isinstance(self.rows, pd.DataFrame):
            return self.rows[list(columns)]
        return dtypes.to_frame(self.rows.select(list(columns))).set_axis(self.numbers)

    @property
    def table(self) -> pa.Table:
        """The rows as an Arrow table; those of a frame must have one type per column."""
        if isinstance(self.rows, pd.DataFrame):
            return pa.Table.from_pandas(self.rows, preserve_index=False)
        return self.rows

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        rows = self.rows
        return [str(name) for name in (rows.columns if isinstance(rows, pd.DataFrame) else rows.column_names)]

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.rows)

    @property
    def is_requested(self) -> Array:
        """Mask (n,) of the rows whose partition was requested."""
        is_requested: Array = self.positions >= 0
        return is_requested

    @property
    def partition_names(self) -> list[str]:
        """Name of the partition of each row; all of them must be requested."""
        names = self.partitions.names
        return [names[position] for position in self.positions]

    def with_rows(self, rows: pa.Table | pd.DataFrame) -> Batch:
        """Return the batch with other values of the same rows."""
        return replace(self, rows=rows)

    def select(self, mask: Array) -> Batch:
        """Return the rows for which `mask` (n,) is true."""
        if mask.all():
            return self
        rows = self.rows[mask] if isinstance(self.rows, pd.DataFrame) else self.rows.filter(pa.array(mask))
        return replace(self, rows=rows, numbers=self.numbers[mask], positions=self.positions[mask])

    def count_rows(self, mask: Array | None = None) -> Array:
        """Return the number of rows, or of rows in `mask` (n,), of each requested partition."""
        positions = self.positions if mask is None else self.positions[mask]
        return _count(positions, len(self.partitions.partitions))


def concat_batches(batches: Sequence[Batch]) -> Batch:
    """Return the rows of several batches of Arrow tables, one after the other."""
    first = batches[0]
    return replace(
        first,
        rows=pa.concat_tables([batch.table for batch in batches], promote_options="permissive"),
        numbers=np.concatenate([batch.numbers for batch in batches]),
        positions=np.concatenate([batch.positions for batch in batches]),
        incoming_rows=np.sum([batch.incoming_rows for batch in batches], axis=0),
    )


def _count(positions: Array, n_partitions: int) -> Array:
    return np.bincount(positions[positions >= 0], minlength=n_partitions)
