"""Figures of the accepted rows, accumulated one batch after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake import dtypes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    import pandas as pd

    from include.data.validation.batch import Batch
    from include.data.validation.results import CheckResult

    Array = np.ndarray[Any, Any]

# Values of one partition and column that are kept for a comparison of distributions, at most twice.
SAMPLE_SIZE = 100_000


class TableCheck(Protocol):
    """A rule that all accepted rows together must satisfy."""

    def add(self, accepted: Batch) -> None:
        """Take the accepted rows of a batch into account."""

    def result(self, statistics: AcceptedStatistics) -> CheckResult | None:
        """Return the result, or None if there is nothing that the rule could be applied to."""


class StatisticsCheck:
    """Base of the rules about figures of the accepted rows, which `AcceptedStatistics` has."""

    def add(self, accepted: Batch) -> None:
        """Do nothing: the statistics take the rows into account."""


class AcceptedStatistics:
    """
    Numbers of rows and nulls, newest moments, and samples of values, by partition.

    Parameters
    ----------
    batch
        A batch, which names the requested partitions and their calendar.
    moments
        Columns whose newest moment is kept.
    sampled
        Columns of which a sample is kept.
    """

    def __init__(self, batch: Batch, moments: Collection[str] = (), sampled: Collection[str] = ()) -> None:
        n_partitions = len(batch.partitions.partitions)
        self.partitions = batch.partitions
        self.calendar = batch.calendar
        self.incoming_rows: Array = np.zeros(n_partitions, dtype=int)
        self.rows: Array = np.zeros(n_partitions, dtype=int)
        self._nulls: dict[str, Array] = {}
        self._newest: dict[str, list[datetime | None]] = {name: [None] * n_partitions for name in moments}
        self._samples = {name: _samples(n_partitions) for name in sampled}

    @classmethod
    def of(
        cls, batches: Iterable[Batch], moments: Collection[str] = (), sampled: Collection[str] = ()
    ) -> AcceptedStatistics:
        """Return the statistics of some batches."""
        first, *others = batches
        statistics = cls(first, moments, sampled)
        for batch in (first, *others):
            statistics.add(batch)
        return statistics

    @property
    def columns(self) -> list[str]:
        """Columns of the accepted rows."""
        return list(self._nulls)

    def nulls(self, column: str) -> Array:
        """Return the number of nulls of a column by partition."""
        return self._nulls[column]

    def newest(self, column: str) -> list[datetime | None]:
        """Return the newest moment of a column by partition; None without one."""
        return self._newest[column]

    def sample(self, column: str, position: int) -> pd.Series[Any]:
        """Return evenly spaced values of a column in a partition."""
        return self._samples[column][position].values()

    def add(self, accepted: Batch) -> None:
        """Take the accepted rows of a batch into account."""
        table = accepted.table
        self.incoming_rows = self.incoming_rows + accepted.incoming_rows
        self.rows = self.rows + accepted.count_rows()
        for name in table.column_names:
            counts = self._nulls.setdefault(name, np.zeros(len(self.rows), dtype=int))
            if table[name].null_count:
                is_null = table[name].is_null().to_numpy(zero_copy_only=False)
                counts += accepted.count_rows(is_null)
        for position in np.unique(accepted.positions[accepted.positions >= 0]).tolist():
            is_inside = accepted.positions == position
            rows = table if is_inside.all() else table.filter(pa.array(is_inside))
            self._add_partition(rows, position)

    def _add_partition(self, rows: pa.Table, position: int) -> None:
        for name in set(self._newest) & set(rows.column_names):
            newest = pc.max(rows[name]).as_py()
            earlier = self._newest[name][position]
            if newest is not None and (earlier is None or newest > earlier):
                self._newest[name][position] = newest
        for name in set(self._samples) & set(rows.column_names):
            self._samples[name][position].add(rows[name])


class Sample:
    """Evenly spaced values of a column: every value, then every second, every fourth and so on."""

    def __init__(self, size: int = SAMPLE_SIZE) -> None:
        self._size = size
        self._step = 1
        # Number of values until the next one that is kept.
        self._skip = 0
        self._retained: list[pa.Array | pa.ChunkedArray] = []

    def add(self, values: pa.ChunkedArray) -> None:
        """Take further values into account."""
        indices = np.arange(self._skip, len(values), self._step)
        self._skip = self._skip + len(indices) * self._step - len(values)
        if len(indices):
            self._retained.append(values.take(pa.array(indices)))
        while sum(map(len, self._retained)) > 2 * self._size:
            self._halve()

    def values(self) -> pd.Series[Any]:
        """Return the values that are kept."""
        table = pa.table({"values": _join_chunks(self._retained) if self._retained else pa.nulls(0)})
        return dtypes.to_frame(table)["values"]

    def _halve(self) -> None:
        merged = _join_chunks(self._retained)
        n_retained = len(merged)
        self._retained = [merged.take(pa.array(np.arange(0, n_retained, 2)))]
        # The value after an odd number of kept ones is skipped.
        if n_retained % 2:
            self._skip += self._step
        self._step *= 2


def _join_chunks(parts: list[pa.Array | pa.ChunkedArray]) -> pa.ChunkedArray:
    chunks: list[pa.Array] = []
    for part in parts:
        chunks += part.chunks if isinstance(part, pa.ChunkedArray) else [part]
    return pa.chunked_array(chunks)


def _samples(n_partitions: int) -> list[Sample]:
    return [Sample() for _ in range(n_partitions)]
