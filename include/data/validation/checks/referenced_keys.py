"""Keys of another dataset, read from its newest partitions backwards until none is missing."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake.table_statistics import value_ranges

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import ForeignKey
    from include.partitions import Partition

# Partitions that are read at first; each further step reads twice as many.
FIRST_PARTITIONS = 4
_NUMBER = "_airworthy_row"


class ReferencedKeys:
    """
    Distinct keys of the dataset of a foreign key, under the names of `columns`.

    Most rows refer to the newest partitions, so older ones are read only as long as a key is missing, and
    only those whose smallest and greatest value, which the table's log has, leave room for a missing key. So
    the cost of a night does not grow with the history of the dataset.

    Parameters
    ----------
    foreign_key
        The declared foreign key.
    lake
        Lake with the table of its dataset.
    """

    def __init__(self, foreign_key: ForeignKey, lake: Lake) -> None:
        published = lake.partitions(foreign_key.dataset)
        searched = published if foreign_key.partitions is None else published[-foreign_key.partitions :]
        self.foreign_key = foreign_key
        self.lake = lake
        self.is_published = bool(published)
        self._unread = searched[::-1]
        self._keys: pa.Table | None = None

    def unmatched(self, rows: pd.DataFrame) -> list[int]:
        """Return the index of the rows (n, columns without nulls) that have no match, ascending."""
        numbers = pa.array(rows.index, pa.int64())
        remaining = pa.Table.from_pandas(rows, preserve_index=False).append_column(_NUMBER, numbers)
        remaining = self._without_matches(remaining)
        candidates = self._candidates(self._unread, remaining)
        n_partitions = FIRST_PARTITIONS
        while remaining.num_rows and candidates:
            self._read(candidates[:n_partitions])
            remaining = self._without_matches(remaining)
            candidates = self._candidates(candidates[n_partitions:], remaining)
            n_partitions *= 2
        return sorted(remaining[_NUMBER].to_pylist())

    def _without_matches(self, rows: pa.Table) -> pa.Table:
        if self._keys is None:
            return rows
        for name in self.foreign_key.columns:
            position = rows.schema.get_field_index(name)
            rows = rows.set_column(position, name, rows[name].cast(self._keys.schema.field(name).type))
        return rows.join(self._keys, keys=list(self.foreign_key.columns), join_type="left anti")

    def _candidates(self, partitions: Sequence[Partition], rows: pa.Table) -> list[Partition]:
        """Return those of the partitions that can hold the key of one of the rows."""
        values = sorted(pc.unique(rows[self.foreign_key.columns[0]]).to_pylist())
        return [partition for partition in partitions if self._can_hold(partition, values)]

    def _can_hold(self, partition: Partition, values: Sequence[Any]) -> bool:
        limits = self._ranges.get(partition)
        if limits is None or not values or type(values[0]) is not type(limits[0]):
            return True
        position = bisect_left(values, limits[0])
        return position < len(values) and bool(values[position] <= limits[1])

    @cached_property
    def _ranges(self) -> Mapping[Partition, tuple[Any, Any]]:
        return value_ranges(self.lake, self.foreign_key.dataset, self.foreign_key.referenced_columns[0])

    def _read(self, partitions: Sequence[Partition]) -> None:
        foreign_key = self.foreign_key
        columns = list(foreign_key.columns)
        batches = self.lake.scan(
            foreign_key.dataset, partitions, columns=list(foreign_key.referenced_columns)
        )
        for batch in batches:
            read = pa.Table.from_batches([batch]).rename_columns(columns)
            both = read if self._keys is None else pa.concat_tables([self._keys, read])
            self._keys = both.group_by(columns).aggregate([])
        self._unread = [partition for partition in self._unread if partition not in set(partitions)]
