"""Sample of a table: rows of partitions that are evenly spaced over its time, bounded in number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.data.lake.partition_columns import PartitionSet
from include.errors import PartitionMissing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from include.data.lake.delta_tables import Lake
    from include.declarations import Column
    from include.partitions import Partition

MAX_PARTITIONS = 60
# Rows that are read, unless a single partition has more; a random sample of them is profiled.
MAX_READ_ROWS = 1_000_000
MAX_ROWS = 50_000
SEED = 0


@dataclass(frozen=True)
class TableSample:
    """
    Rows of some partitions.

    Attributes
    ----------
    frame : pandas.DataFrame
        Rows (n): the declared columns that the table has, and its partition columns.
    names : pandas.Series
        Name of each row's partition, (n,).
    partitions : tuple of Partition
        Partitions that were read.
    total_partitions, total_rows : int
        Of the whole table.
    """

    frame: pd.DataFrame = field(repr=False)
    names: pd.Series = field(repr=False)
    partitions: tuple[Partition, ...]
    total_partitions: int
    total_rows: int

    def describe(self) -> str:
        """Return what was profiled as a sentence."""
        if len(self.frame) == self.total_rows:
            return f"All {self.total_rows:,} rows of {self.total_partitions:,} partitions."
        return (
            f"A sample of {len(self.frame):,} of {self.total_rows:,} rows, from {len(self.partitions):,} of "
            f"{self.total_partitions:,} partitions that are evenly spaced over time."
        )


def read_sample(lake: Lake, table: str, columns: Sequence[Column]) -> TableSample:
    """
    Return a sample of at most `MAX_ROWS` rows; the same table gives the same sample.

    Raises
    ------
    PartitionMissing
        If the table has no rows.
    """
    counts = {partition: rows for partition, rows in sorted(lake.counts(table).items()) if rows}
    if not counts:
        raise PartitionMissing(f"{table} has no rows to profile. Run the DAG that publishes it first.")
    chosen = _choose(counts)
    frame = lake.read(table, chosen)
    partitions = PartitionSet.of(chosen)
    declared = [column.name for column in columns if column.name in frame.columns]
    frame = frame[[*partitions.columns, *declared]]
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=SEED).sort_index()
    frame = frame.reset_index(drop=True)
    names = partitions.partition_of(frame)
    return TableSample(frame, names, tuple(chosen), len(counts), sum(counts.values()))


def _choose(counts: Mapping[Partition, int]) -> list[Partition]:
    """Return partitions that are evenly spaced, the newest among them, with at most `MAX_READ_ROWS` rows."""
    partitions = list(counts)
    rows_per_partition = sum(counts.values()) / len(counts)
    affordable = max(int(MAX_READ_ROWS / rows_per_partition), 1)
    size = min(len(partitions), MAX_PARTITIONS, affordable)
    last = len(partitions) - 1
    if size == 1:
        return partitions[-1:]
    positions = {round(last * step / (size - 1)) for step in range(size)}
    return [partitions[position] for position in sorted(positions)]
