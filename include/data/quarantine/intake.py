"""Rejected rows of a run: stored in the queue, where they replace those of earlier runs and readings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pandas as pd

from include import partitions
from include.data.quarantine.queue import RowFilter, find_actions, pending
from include.data.quarantine.release import still_released
from include.data.quarantine.rows import ROW_ID, ids_digest, of_partition, to_record
from include.database import ledger

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from sqlalchemy import Connection

    from include.data.quarantine.queue import Quarantine
    from include.data.validation.results import PartitionReport
    from include.partitions import Partition

# Row ids in an entry about rows that a newer run replaced.
MAX_LOGGED_IDS = 1_000


def store_rejected(
    queue: Quarantine, report: PartitionReport, days: Sequence[Partition], *, run: str
) -> None:
    """
    Store the rejected rows of these partitions.

    If the partitions passed, the rows replace those that were pending from earlier runs, and the ledger
    records the replacement first; if not, the earlier rows stay.

    Parameters
    ----------
    run : str
        DAG run and try.
    """
    rejected = report.rejected_batch.select(report.rejected_batch.is_requested)
    incoming = to_record(rejected, run=run, at=datetime.now(UTC))
    _replace_pending(queue, incoming, days, run=run, supersede=report.passed)


def attach_to_version(queue: Quarantine, day: date, version: date, *, run: str) -> None:
    """
    Store the rejected rows of a reading that has no news with those of the version that it equals.

    Rows of that version that were discarded, or released and not withdrawn, stay so, and rows that are not in
    the file any more are superseded.

    Parameters
    ----------
    day
        Day of the reading.
    version
        Day of the published version of a dataset that is read whole.
    run : str
        DAG run and try.
    """
    if day == version:
        return
    incoming = of_partition(pending(queue, RowFilter(first=day)), str(version))
    decided = _decided_rows(queue, version)
    incoming = incoming[~incoming[ROW_ID].isin(list(decided))]
    _replace_pending(queue, incoming, [version], run=run, supersede=True)
    if day in queue.lake.partitions(queue.table):
        queue.lake.update(queue.table, [day], lambda rows: rows.iloc[:0], metadata={"run": run})


def supersede_versions(queue: Quarantine, day: date, *, run: str) -> None:
    """Supersede the rejected rows of earlier versions of a dataset that is read whole."""
    earlier = [version for version in queue.lake.partitions(queue.table) if version < day]
    for version in earlier:
        rows = pending(queue, RowFilter(first=partitions.day_of(version)))
        if len(rows):
            _replace_pending(queue, rows.iloc[:0], [version], run=run, supersede=True)


def _decided_rows(queue: Quarantine, partition: Partition) -> set[str]:
    """Return the ids of the rows of a partition that were discarded, or released and not withdrawn."""
    name = partitions.format_partition(partition)
    actions = find_actions(queue.engine, queue.name, partitions=[name])
    decided = set(still_released(actions).get(name, {}))
    for action in actions:
        if action["action"] == "discard":
            decided |= set(action["ids"])
    return decided


def _replace_pending(
    queue: Quarantine, incoming: pd.DataFrame, days: Sequence[Partition], *, run: str, supersede: bool
) -> None:
    """Store rows of these partitions; with `supersede`, the others leave the queue and are recorded."""
    existing = sorted(set(queue.lake.partitions(queue.table)) & set(days))
    if incoming.empty and not (existing and supersede):
        return
    earlier = queue.lake.read(queue.table, existing) if existing else incoming.iloc[:0]
    incoming_ids = set(incoming[ROW_ID]) if len(incoming) else set()
    superseded = set(earlier[ROW_ID]) - incoming_ids if supersede and len(earlier) else set()
    if superseded:
        with queue.engine.begin() as connection:
            _log_superseded(connection, queue, earlier[earlier[ROW_ID].isin(superseded)], days, run)
    if not queue.lake.partitions(queue.table):
        queue.lake.publish(queue.table, incoming, days, metadata={"run": run})
        return

    def replace(rows: pd.DataFrame) -> pd.DataFrame:
        staying = rows[~rows[ROW_ID].isin(superseded | incoming_ids)]
        return pd.concat([staying, incoming], ignore_index=True) if len(staying) else incoming

    queue.lake.update(queue.table, days, replace, metadata={"run": run})


def _log_superseded(
    connection: Connection, queue: Quarantine, rows: pd.DataFrame, days: Sequence[Partition], run: str
) -> None:
    ids = sorted(str(row_id) for row_id in rows[ROW_ID])
    dag_run = run.rpartition("/")[0] or run
    span = partitions.format_key(sorted(days))
    digest = ids_digest(ids)
    entry = ledger.Entry(
        queue.name,
        "quarantine",
        f"airflow:{run.partition('/')[0]}",
        f"{len(ids):,} rows of {span} superseded: {dag_run} validated the partition again",
        evidence={
            "action": "supersede",
            "partition": span,
            "run": dag_run,
            "rows": len(ids),
            "ids": ids[:MAX_LOGGED_IDS],
            "digest": digest,
            "table_version": queue.lake.version(queue.table),
        },
        dedup_key=f"quarantine/{queue.name}/{span}/supersede/{dag_run}/{digest}",
    )
    ledger.append(connection, entry)
