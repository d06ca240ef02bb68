"""The queue of refused rows: kept with their reasons, looked at, released, or discarded."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd
from sqlalchemy import select

from include import partitions
from include.data.lake import partition_columns
from include.data.lake.partition_columns import PartitionSet
from include.data.quarantine import rows as refused
from include.data.quarantine.rows import ROW_ID
from include.data.validation.row_checks import REASONS
from include.database import ledger
from include.database.tables import ledger as ledger_table
from include.declarations import Dataset
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Engine

    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import PartitionReport
    from include.declarations import FeatureView
    from include.partitions import Partition

MAX_LOGGED_IDS = 1_000  # so many ids stand in an entry about rows that a newer run replaced
MAX_ROWS = 100_000
LEDGER_TEXT = {
    "release": "released into the partition",
    "retain": "kept after all, for they do not pass any more",
    "discard": "discarded",
    "withdraw": "that were released are not in the partition any more, which was judged anew",
}


@dataclass(frozen=True)
class Quarantine:
    """The refused rows of one dataset or feature view, and the ledger that knows where each of them went."""

    declared: Dataset | FeatureView
    lake: Lake
    engine: Engine = field(repr=False)

    @property
    def name(self) -> str:
        """The dataset's name."""
        return self.declared.name

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell its rows apart."""
        return self.declared.key if isinstance(self.declared, Dataset) else (self.declared.entity,)

    @property
    def table(self) -> str:
        """The table in which the rows wait."""
        return f"{self.name}_quarantine"


@dataclass(frozen=True)
class RowFilter:
    """Which of the waiting rows: all, or those of these days, with these ids, with this in a reason."""

    first: date | None = None
    last: date | None = None
    ids: Sequence[str] = ()
    reason: str = ""


@dataclass(frozen=True)
class ReviewAction:
    """Who wants it, in which run, and why, for the ledger."""

    actor: str
    run: str
    comment: str = ""


def pending(queue: Quarantine, choice: RowFilter | None = None) -> pd.DataFrame:
    """Return the rows that wait, the oldest partition first; the frame is empty where there are none."""
    choice = choice or RowFilter()
    found = [
        one
        for one in queue.lake.partitions(queue.table)
        if (choice.first or date.min) <= partitions.day_of(one) <= (choice.last or choice.first or date.max)
    ]
    if not found:
        return pd.DataFrame(columns=["day", *refused.RECORD_COLUMNS, refused.ROW], dtype=object)
    rows = queue.lake.read(queue.table, found)
    if choice.ids:
        rows = rows[rows[ROW_ID].isin(list(choice.ids))]
    if choice.reason:
        rows = rows[rows[REASONS].str.contains(choice.reason, case=False, regex=False, na=False)]
    return rows.sort_values([*PartitionSet.of(found).columns, ROW_ID], ignore_index=True)


def pending_summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many rows wait, by day and reason, and since when."""
    counted = rows.groupby(["day", REASONS]).agg(rows=(ROW_ID, "size"), since=(refused.REFUSED_AT, "min"))
    return counted.reset_index().rename(columns={REASONS: "reasons"})


def readable(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows for people: the id and the reasons first, then what came."""
    first = ["day", ROW_ID, REASONS]
    rest = [name for name in rows.columns if name not in (*first, *refused.RECORD_COLUMNS, refused.ROW)]
    return rows[[*first, *rest, refused.REFUSED_AT, refused.REFUSED_BY]]


def store_rejected(
    queue: Quarantine, report: PartitionReport, days: Sequence[Partition], *, run: str
) -> None:
    """
    Keep what a gate refused of these partitions; `run` names the run and its try.

    Rows that wait there from earlier make room only for a partition that passed: it takes the place of
    theirs. The ledger says so before they go.
    """
    rejected = report.rejected_batch
    requested = rejected.select(rejected.is_requested)
    fresh = refused.to_record(requested, run=run, at=datetime.now(UTC))
    there = sorted(set(queue.lake.partitions(queue.table)) & set(days))
    if fresh.empty and not (there and report.passed):
        return
    earlier = queue.lake.read(queue.table, there) if there else fresh.iloc[:0]
    known = set(fresh[ROW_ID]) if len(fresh) else set()
    gone = set(earlier[ROW_ID]) - known if report.passed and len(earlier) else set()
    if gone:
        with queue.engine.begin() as connection:
            _supersede(connection, queue, earlier[earlier[ROW_ID].isin(gone)], days, run)
    if not queue.lake.partitions(queue.table):
        queue.lake.publish(queue.table, fresh, days, metadata={"run": run})
        return

    def replace(rows: pd.DataFrame) -> pd.DataFrame:
        stay = rows[~rows[ROW_ID].isin(gone | known)]
        return pd.concat([stay, fresh], ignore_index=True) if len(stay) else fresh

    queue.lake.update(queue.table, days, replace, metadata={"run": run})


def discard(queue: Quarantine, choice: RowFilter, decision: ReviewAction) -> int:
    """
    Take the chosen rows out of the queue for good, and return how many there were.

    :raises DataError: without a comment, or if there are too many rows for one decision
    """
    if len(decision.comment.strip()) < 3:
        raise DataError(
            f"{queue.name}: say in `comment` why the rows are discarded: it is all that will be left of them."
        )
    rows = pending(queue, choice)
    require_bounded(queue, rows)
    for day, part in by_partition(queue, rows):
        with queue.engine.begin() as connection:
            log_action(connection, queue, "discard", day, part, decision)
        remove(queue, day, set(part[ROW_ID]), decision.run)
    return len(rows)


def remove(queue: Quarantine, day: Partition, ids: set[str], run: str) -> None:
    """Take rows out of the queue; those that are gone already are no matter."""
    queue.lake.update(queue.table, [day], lambda rows: rows[~rows[ROW_ID].isin(ids)], metadata={"run": run})


def log_action(
    connection: Connection,
    queue: Quarantine,
    action: str,
    day: Partition,
    rows: pd.DataFrame,
    decision: ReviewAction,
    **evidence: Any,
) -> None:
    """Write down that the rows of a partition leave the queue; the same step of a run writes it once."""
    place = partitions.format_partition(day)
    comment = decision.comment.strip()
    entry = ledger.Entry(
        queue.name,
        "quarantine",
        decision.actor,
        f"{len(rows):,} rows of {place} {LEDGER_TEXT[action]}" + (f": {comment}" if comment else ""),
        evidence={
            "action": action,
            "partition": place,
            "run": decision.run,
            "rows": len(rows),
            "ids": [str(one) for one in rows[ROW_ID]],
            "reasons": {str(why): int(count) for why, count in rows[REASONS].value_counts().items()},
            "table_version": queue.lake.version(queue.table),
            **evidence,
        },
        dedup_key=dedup_key(queue, action, day, decision.run),
    )
    ledger.append(connection, entry)


def find_action(
    connection: Connection, queue: Quarantine, action: str, day: Partition, run: str
) -> dict[str, Any] | None:
    """Return the evidence of what a run has written down already, or None."""
    key = dedup_key(queue, action, day, run)
    found = connection.scalar(select(ledger_table.c.evidence).where(ledger_table.c.dedup_key == key))
    return None if found is None else dict(found)


def find_actions(
    engine: Engine, name: str, *, run: str | None = None, partitions: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return what the ledger knows of rows that left a queue, oldest first, by this run or of these days."""
    evidence = ledger_table.c.evidence
    query = select(evidence).where(ledger_table.c.use_case == name, ledger_table.c.event == "quarantine")
    if run is not None:
        query = query.where(evidence["run"].astext == run)
    if partitions is not None:
        query = query.where(evidence["partition"].astext.in_(partitions))
    with engine.connect() as connection:
        return [dict(found) for found in connection.scalars(query.order_by(ledger_table.c.id))]


def dedup_key(queue: Quarantine, action: str, day: Partition, run: str) -> str:
    """Return what makes a repeated step of a run write one entry."""
    return f"quarantine/{queue.name}/{partitions.format_partition(day)}/{action}/{run}"


def by_partition(queue: Quarantine, rows: pd.DataFrame) -> list[tuple[Partition, pd.DataFrame]]:
    """Return the rows of each partition, the oldest first."""
    parts = ["day", "hour"] if getattr(queue.declared, "granularity", "day") == "hour" else ["day"]
    return [
        (partition_columns.parse_partition_name("T".join(str(value) for value in values)), part)
        for values, part in rows.groupby(parts, sort=True)
    ]


def require_bounded(queue: Quarantine, rows: pd.DataFrame) -> None:
    """
    Do nothing if the ledger can name every row.

    :raises DataError: if there are too many
    """
    if len(rows) > MAX_ROWS:
        raise DataError(
            f"{queue.name}: {len(rows):,} rows are more than one decision can name ({MAX_ROWS:,}). "
            "Choose fewer days, or have the source corrected and the partition run again."
        )


def _supersede(
    connection: Connection, queue: Quarantine, rows: pd.DataFrame, days: Sequence[Partition], run: str
) -> None:
    ids = sorted(str(one) for one in rows[ROW_ID])
    who, span = run.rpartition("/")[0] or run, partitions.format_key(sorted(days))
    digest = refused.ids_digest(ids)
    entry = ledger.Entry(
        queue.name,
        "quarantine",
        f"airflow:{run.partition('/')[0]}",
        f"{len(ids):,} rows of {span} superseded: {who} judged the partition anew",
        evidence={
            "action": "supersede",
            "partition": span,
            "run": who,
            "rows": len(ids),
            "ids": ids[:MAX_LOGGED_IDS],
            "digest": digest,
            "table_version": queue.lake.version(queue.table),
        },
        dedup_key=f"quarantine/{queue.name}/{span}/supersede/{who}/{digest}",
    )
    ledger.append(connection, entry)
