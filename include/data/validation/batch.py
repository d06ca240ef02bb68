"""The rows of one validation, each with the partition that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY, HOUR, PartitionSet
from include.errors import DataError
from include.partitions import DAYS, Calendar

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.partitions import Partition

    Array = np.ndarray[Any, Any]

COLUMN_FORMATS = {DAY: f"`{DAY}` (YYYY-MM-DD)", HOUR: f"`{HOUR}` (HH)"}


@dataclass(frozen=True)
class Batch:
    """
    Rows and the partition of each row.

    The positions are computed once, by `Batch.of`, where the staged frame enters the gate; a selection of
    rows selects their positions, too. The staged frame has no column of positions: `DAY` and `HOUR` name the
    partition of each row already, and a second column would have to be removed from every row that is
    published or quarantined.

    Attributes
    ----------
    frame : pandas.DataFrame
        Rows (n, columns). The index holds the number of each row in the validated frame, from 0.
    positions : numpy.ndarray
        int64 (n,): position in `partitions.partitions`, -1 for a row of a partition that was not requested.
    partitions : PartitionSet
        The requested partitions in order.
    incoming_rows : numpy.ndarray
        int64 (number of partitions,): rows of each requested partition before any row was rejected.
    calendar : Calendar
        When each partition begins and ends.
    """

    frame: pd.DataFrame = field(repr=False)
    positions: Array = field(repr=False)
    partitions: PartitionSet
    incoming_rows: Array = field(repr=False)
    calendar: Calendar = DAYS

    @classmethod
    def of(cls, frame: pd.DataFrame, partitions: Collection[Partition], calendar: Calendar = DAYS) -> Batch:
        """
        Number the rows of `frame` and find the partition of each row.

        Raises
        ------
        DataError
            If the frame lacks a column that names the partition of a row, or has a column twice.
        """
        requested = PartitionSet.of(partitions)
        if not set(requested.columns) <= set(frame.columns) or not frame.columns.is_unique:
            formats = " and ".join(COLUMN_FORMATS[column] for column in requested.columns)
            raise DataError(
                f"The rows need a column {formats} and each column once, not {list(frame.columns)}."
            )
        numbered = frame if _is_numbered(frame.index) else frame.reset_index(drop=True)
        hourly = len(requested.columns) > 1
        names = requested.partition_of(numbered) if hourly else numbered[DAY]
        requested_names = pd.Index(list(requested.names), dtype=object)
        positions = requested_names.get_indexer(pd.Index(names, dtype=object))
        return cls(numbered, positions, requested, _count(positions, len(requested_names)), calendar)

    @classmethod
    def unpartitioned(cls, frame: pd.DataFrame) -> Batch:
        """Return all rows of `frame` as rows of no partition; the index stays as it is."""
        return cls(frame, np.full(len(frame), -1), PartitionSet(()), np.zeros(0, dtype=int))

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

    def with_frame(self, frame: pd.DataFrame) -> Batch:
        """Return the batch with other values of the same rows."""
        return replace(self, frame=frame)

    def select(self, mask: Array) -> Batch:
        """Return the rows for which `mask` (n,) is true."""
        if mask.all():
            return self
        return replace(self, frame=self.frame[mask], positions=self.positions[mask])

    def count_rows(self, mask: Array | None = None) -> Array:
        """Return the number of rows, or of rows in `mask` (n,), of each requested partition."""
        positions = self.positions if mask is None else self.positions[mask]
        return _count(positions, len(self.partitions.partitions))


def _count(positions: Array, n_partitions: int) -> Array:
    return np.bincount(positions[positions >= 0], minlength=n_partitions)


def _is_numbered(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1
