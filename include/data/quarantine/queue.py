"""The queue of rejected rows: stored with their reasons, listed, released or discarded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd
from sqlalchemy import select

from include import partitions
from include.data.lake.partition_columns import DAY, HOUR, PartitionSet, parse_partition_name
from include.data.quarantine.rows import (
    RECORD_COLUMNS,
    REFUSED_AT,
    REFUSED_BY,
    ROW,
    ROW_ID,
)
from include.data.reading.raw import escape
from include.data.reading.table import MALFORMED
from include.data.validation.results import REASONS
from include.database import ledger
from include.database.tables import ledger as ledger_table
from include.declarations import Dataset
from include.declarations.data.columns import personal_names
from include.errors import DataError
from include.pseudonyms import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection, Engine

    from include.data.lake.delta_tables import Lake
    from include.declarations import FeatureView
    from include.partitions import Partition

# Rows of one decision: the ledger names each of them.
MAX_ROWS = 100_000
MIN_COMMENT_LENGTH = 3
LEDGER_TEXT = {
    "release": "released into the partition",
    "retain": "retained after all, because they do not pass any more",
    "discard": "discarded",
    "withdraw": "that were released are not in the partition any more, which was validated again",
}


@dataclass(frozen=True)
class Quarantine:
    """Rejected rows of one dataset or feature view, with the ledger that records what became of them."""

    declared: Dataset | FeatureView
    lake: Lake
    engine: Engine = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the dataset or feature view."""
        return self.declared.name

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        return self.declared.key if isinstance(self.declared, Dataset) else self.declared.keys

    @property
    def personal(self) -> frozenset[str]:
        """Names of the personal columns."""
        return personal_names(self.declared.columns)

    @property
    def table(self) -> str:
        """Table of the pending rows."""
        return f"{self.name}_quarantine"

    @property
    def partition_columns(self) -> list[str]:
        """Columns that name the partition of a row."""
        return [DAY, HOUR] if self.declared.granularity == "hour" else [DAY]


@dataclass(frozen=True)
class RowFilter:
    """
    Selection of pending rows; the default selects all.

    Attributes
    ----------
    first, last : date or None
        First and last day, both included; without `last`, the first day alone.
    ids : sequence of str
        Row ids.
    reason : str
        Part of a reason, in any case.
    """

    first: date | None = None
    last: date | None = None
    ids: Sequence[str] = ()
    reason: str = ""

    def includes(self, day: date) -> bool:
        """Return whether rows of this day are selected."""
        last = self.last or self.first or date.max
        return (self.first or date.min) <= day <= last


@dataclass(frozen=True)
class ReviewAction:
    """Who decides, in which run, and why, as the ledger records it."""

    actor: str
    run: str
    comment: str = ""


def pending(queue: Quarantine, row_filter: RowFilter | None = None) -> pd.DataFrame:
    """Return the selected pending rows, the oldest partition first; an empty frame if there are none."""
    row_filter = row_filter or RowFilter()
    selected = [
        partition
        for partition in queue.lake.partitions(queue.table)
        if row_filter.includes(partitions.day_of(partition))
    ]
    if not selected:
        return pd.DataFrame(columns=[DAY, *RECORD_COLUMNS, ROW], dtype=object)
    rows = queue.lake.read(queue.table, selected)
    if row_filter.ids:
        rows = rows[rows[ROW_ID].isin(list(row_filter.ids))]
    if row_filter.reason:
        rows = rows[rows[REASONS].str.contains(row_filter.reason, case=False, regex=False, na=False)]
    return rows.sort_values([*PartitionSet.of(selected).columns, ROW_ID], ignore_index=True)


def pending_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the number of pending rows by day and reason, and the time of the oldest."""
    groups = rows.groupby([DAY, REASONS])
    summary = groups.agg(rows=(ROW_ID, "size"), since=(REFUSED_AT, "min"))
    return summary.reset_index().rename(columns={DAY: "day", REASONS: "reasons"})


def readable(rows: pd.DataFrame, masked: Collection[str] = ()) -> pd.DataFrame:
    """
    Return the rows for display: the id and the reasons first, then the values.

    Values of the columns `masked` are `***`, and so are malformed lines, which may hold any column.
    """
    first = [DAY, ROW_ID, REASONS]
    values = [name for name in rows.columns if name not in (*first, *RECORD_COLUMNS, ROW)]
    hidden = [name for name in values if name in masked or (masked and name == MALFORMED)]
    shown = rows.assign(**{name: rows[name].where(rows[name].isna(), MASK) for name in hidden})
    return shown[[*first, *values, REFUSED_AT, REFUSED_BY]]


def discard_rows(queue: Quarantine, row_filter: RowFilter, action: ReviewAction) -> int:
    """
    Remove the selected rows from the queue for good, and return their number.

    Raises
    ------
    DataError
        Without a comment, or if there are too many rows for one decision.
    """
    if len(action.comment.strip()) < MIN_COMMENT_LENGTH:
        raise DataError(
            f"{queue.name}: say in `comment` why the rows are discarded: it is all that will be left of them."
        )
    rows = pending(queue, row_filter)
    require_bounded(queue, rows)
    for day, part in by_partition(queue, rows):
        with queue.engine.begin() as connection:
            log_action(connection, queue, "discard", day, part, action)
        _remove(queue, day, set(part[ROW_ID]), action.run)
    return len(rows)


def log_action(
    connection: Connection,
    queue: Quarantine,
    kind: str,
    day: Partition,
    rows: pd.DataFrame,
    action: ReviewAction,
    **evidence: Any,
) -> None:
    """
    Record in the ledger what becomes of rows of a partition; the same step of a run is recorded once.

    Parameters
    ----------
    kind : str
        Key of `LEDGER_TEXT`.
    rows : pandas.DataFrame
        Rows with `_row_id` and `_reasons`.
    """
    day_name = partitions.format_partition(day)
    comment = escape(action.comment.strip())
    reason = f"{len(rows):,} rows of {day_name} {LEDGER_TEXT[kind]}"
    counts = rows[REASONS].value_counts()
    entry = ledger.Entry(
        queue.name,
        "quarantine",
        action.actor,
        f"{reason}: {comment}" if comment else reason,
        evidence={
            "action": kind,
            "partition": day_name,
            "run": action.run,
            "rows": len(rows),
            "ids": [str(row_id) for row_id in rows[ROW_ID]],
            "reasons": {str(text): int(count) for text, count in counts.items()},
            "table_version": queue.lake.version(queue.table),
            **evidence,
        },
        dedup_key=_action_key(queue, kind, day, action.run),
    )
    ledger.append(connection, entry)


def find_action(
    connection: Connection, queue: Quarantine, kind: str, day: Partition, run: str
) -> dict[str, Any] | None:
    """Return the evidence that a run has recorded already, or None."""
    key = _action_key(queue, kind, day, run)
    evidence = connection.scalar(select(ledger_table.c.evidence).where(ledger_table.c.dedup_key == key))
    return None if evidence is None else dict(evidence)


def find_actions(
    engine: Engine, name: str, *, run: str | None = None, partitions: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the recorded actions on the rows of a queue, oldest first, of this run or these partitions."""
    evidence = ledger_table.c.evidence
    query = select(evidence).where(ledger_table.c.use_case == name, ledger_table.c.event == "quarantine")
    if run is not None:
        query = query.where(evidence["run"].astext == run)
    if partitions is not None:
        query = query.where(evidence["partition"].astext.in_(partitions))
    with engine.connect() as connection:
        return [dict(action) for action in connection.scalars(query.order_by(ledger_table.c.id))]


def by_partition(queue: Quarantine, rows: pd.DataFrame) -> list[tuple[Partition, pd.DataFrame]]:
    """Return the rows of each partition, the oldest first."""
    groups = []
    for values, part in rows.groupby(queue.partition_columns, sort=True):
        name = "T".join(map(str, values))
        groups.append((parse_partition_name(name), part))
    return groups


def require_bounded(queue: Quarantine, rows: pd.DataFrame) -> None:
    """
    Raise DataError if there are more rows than one decision can name in the ledger.

    Raises
    ------
    DataError
        With the number of rows and the limit.
    """
    if len(rows) > MAX_ROWS:
        raise DataError(
            f"{queue.name}: {len(rows):,} rows are more than one decision can name ({MAX_ROWS:,}). "
            "Choose fewer days, or have the source corrected and the partition run again."
        )


def _remove(queue: Quarantine, day: Partition, ids: set[str], run: str) -> None:
    """Remove rows from the queue; rows that are not there any more are ignored."""
    queue.lake.update(queue.table, [day], lambda rows: rows[~rows[ROW_ID].isin(ids)], metadata={"run": run})


def _action_key(queue: Quarantine, kind: str, day: Partition, run: str) -> str:
    """Return the deduplication key of a step of a run."""
    return f"quarantine/{queue.name}/{partitions.format_partition(day)}/{kind}/{run}"
