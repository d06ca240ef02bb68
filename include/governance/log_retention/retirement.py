"""Old days of the logs: exported to the lake first, counted by hour, and then deleted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from include.database.locks import advisory_lock
from include.database.tables import access_log, inference_log, log_export
from include.declarations import Serving
from include.errors import AirworthyError
from include.governance.log_retention.exported_rows import ID, POSITION, DayOfAccess, DayOfRequests
from include.specifications import declared_specification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine, Table

    from include.catalog import Catalog
    from include.data.lake.delta_tables import Lake
    from include.declarations import UseCase
    from include.governance.log_retention.exported_rows import LoggedDay

LOCK_KEY = "logs/retirement"
DELETE_ROWS = 5_000
# Monitoring measures the window of today and three earlier ones.
N_DRIFT_WINDOWS = 4

_COUNT_ACCESS = """
INSERT INTO request_count AS counted (log, use_case, hour, version, kind, status, requests, latency_p50_ms,
  latency_p99_ms)
SELECT 'access_log', use_case, date_trunc('hour', received_at, 'UTC'), coalesce(version, 0), endpoint, status,
       count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms)
FROM access_log JOIN exported_id USING (id) WHERE received_at >= :start AND received_at < :finish
GROUP BY 2, 3, 4, 5, 6
"""
_COUNT_REQUESTS = """
INSERT INTO request_count AS counted (log, use_case, hour, version, kind, status, requests, latency_p50_ms,
  latency_p99_ms)
SELECT 'inference_log', use_case, date_trunc('hour', received_at, 'UTC'), version, role, status,
       count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms),
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms)
FROM inference_log JOIN exported_id USING (id)
WHERE use_case = :use_case AND received_at >= :start AND received_at < :finish
GROUP BY 2, 3, 4, 5, 6
"""
# Records that arrive after their day was counted are added; the percentiles stay those of the others.
_ADD = """
ON CONFLICT (log, use_case, hour, version, kind, status)
DO UPDATE SET requests = counted.requests + excluded.requests
"""
# What arrived after the export is counted once the lake has it.
_EXPORTED_IDS = text("CREATE TEMPORARY TABLE exported_id (id uuid PRIMARY KEY) ON COMMIT DROP")
_ADD_IDS = text("INSERT INTO exported_id SELECT unnest(CAST(:ids AS uuid[])) ON CONFLICT DO NOTHING")
_FIRST_DAYS = text("""
SELECT use_case, min(received_at) AS first FROM inference_log GROUP BY use_case ORDER BY use_case
""")


@dataclass(frozen=True, slots=True)
class RetiredDay:
    """A day that was retired: its table in the lake, and how many rows of the database were deleted."""

    table: str
    day: date
    rows: int


def retained_days(use_case: UseCase | None) -> int:
    """Return for how many days requests stay in the database: as declared, or what monitoring reads."""
    if use_case is None:
        return Serving().log_days
    read_days = max(use_case.slo.window_days, N_DRIFT_WINDOWS * use_case.drift.window_days)
    return max(use_case.serving.log_days, read_days + 1)


def retire_logs(
    engine: Engine, lake: Lake, declared: Catalog, *, now: datetime | None = None
) -> list[RetiredDay]:
    """
    Export, count and delete the days of both logs that are older than their retention, the oldest first.

    A day is deleted only once the lake has it, in parts of `DELETE_ROWS` rows. If the process is killed, the
    next call goes on. A record that arrives after its day was deleted is added to the exported day.

    Parameters
    ----------
    now
        The present moment; by default the database's.

    Raises
    ------
    ServiceUnavailable
        If the lake is away; nothing is deleted that it does not have.
    """
    with advisory_lock(engine, LOCK_KEY), engine.connect() as connection:
        moment = now or connection.execute(select(func.clock_timestamp())).scalar_one()
        due = list(_due_days(engine, connection, declared, moment))
        connection.rollback()
        return [_retire(engine, lake, logged) for logged in due]


def _due_days(
    engine: Engine, connection: Connection, declared: Catalog, now: datetime
) -> Iterator[LoggedDay]:
    use_cases = declared.use_cases
    for name, first in connection.execute(_FIRST_DAYS).all():
        key = _header_key(declared, name)
        for day, start, finish in _days_before(first, now, retained_days(use_cases.get(name))):
            if _has_rows(connection, inference_log, start, finish, name):
                yield DayOfRequests(engine, name, day, start, finish, key)
    first = connection.scalar(select(func.min(access_log.c.received_at)))
    longest = max((retained_days(use_case) for use_case in use_cases.values()), default=retained_days(None))
    for day, start, finish in _days_before(first, now, longest) if first else ():
        if _has_rows(connection, access_log, start, finish):
            yield DayOfAccess(engine, day, start, finish)


def _days_before(first: datetime, now: datetime, days: int) -> Iterator[tuple[date, datetime, datetime]]:
    """Yield the days from `first` on that ended `days` days ago."""
    day = first.astimezone(UTC).date()
    while day < now.astimezone(UTC).date() - timedelta(days=days):
        start = datetime.combine(day, time(), UTC)
        yield day, start, start + timedelta(days=1)
        day += timedelta(days=1)


def _has_rows(
    connection: Connection, table: Table, start: datetime, finish: datetime, use_case: str = ""
) -> bool:
    conditions = [table.c.received_at >= start, table.c.received_at < finish]
    if use_case:
        conditions.append(table.c.use_case == use_case)
    return connection.execute(select(table.c.id).where(*conditions).limit(1)).first() is not None


def _header_key(declared: Catalog, name: str) -> str:
    """Return the column of the entity that callers name in a header; empty if there are several or none."""
    use_case = declared.use_cases.get(name)
    if use_case is None:
        return ""
    try:
        keys = declared_specification(use_case, declared).selection.spine.label_keys
    except AirworthyError:
        return ""
    return keys[0] if len(keys) == 1 else ""


def _retire(engine: Engine, lake: Lake, logged: LoggedDay) -> RetiredDay:
    with engine.connect() as connection:
        query = select(log_export.c.deleted_at).where(*_marker(logged))
        exported = connection.execute(query).first()
    if exported is None:
        lake.publish(logged.table, logged, [logged.day], metadata={})
        _mark(engine, lake, logged)
    elif exported.deleted_at is not None:
        _append_late_rows(engine, lake, logged)
    rows = _delete_rows(engine, lake, logged)
    with engine.begin() as connection:
        connection.execute(
            update(log_export).where(*_marker(logged)).values(deleted_at=func.clock_timestamp())
        )
    return RetiredDay(logged.table, logged.day, rows)


def _append_late_rows(engine: Engine, lake: Lake, logged: LoggedDay) -> None:
    """Add records that arrived after their day was deleted to the exported day, and to the counts."""
    batches = list(logged.batches())
    late = pa.Table.from_batches(batches, logged.schema).to_pandas()
    identity = [ID, POSITION] if isinstance(logged, DayOfRequests) else [ID]

    def add(rows: pd.DataFrame) -> pd.DataFrame:
        merged: pd.DataFrame = pd.concat([rows, late], ignore_index=True)
        return merged.drop_duplicates(identity, ignore_index=True)

    lake.update(logged.table, [logged.day], add, metadata={})
    _mark(engine, lake, logged)


def _mark(engine: Engine, lake: Lake, logged: LoggedDay) -> None:
    """Count what the lake has of the day by hour, and record that it has it, in one transaction."""
    is_access = isinstance(logged, DayOfAccess)
    count = text((_COUNT_ACCESS if is_access else _COUNT_REQUESTS) + _ADD)
    parameters = {"start": logged.start, "finish": logged.finish, "use_case": logged.use_case}
    marker = {"log": _log_of(logged).name, "use_case": logged.use_case, "day": logged.day}
    statement = insert(log_export).values(marker | {"deleted_at": None})
    statement = statement.on_conflict_do_update(
        index_elements=["log", "use_case", "day"],
        set_={"deleted_at": None, "exported_at": func.clock_timestamp()},
    )
    with engine.begin() as connection:
        connection.execute(_EXPORTED_IDS)
        for ids in _exported_ids(lake, logged):
            connection.execute(_ADD_IDS, {"ids": ids})
        connection.execute(count, parameters)
        connection.execute(statement)


def _delete_rows(engine: Engine, lake: Lake, logged: LoggedDay) -> int:
    """Delete what the lake has of the day, and not what arrived after the export."""
    table = _log_of(logged)
    total = 0
    for ids in _exported_ids(lake, logged):
        with engine.begin() as connection:
            query = delete(table).where(*logged.conditions, table.c.id.in_(ids))
            total += connection.execute(query).rowcount
    return total


def _exported_ids(lake: Lake, logged: LoggedDay) -> Iterator[list[str]]:
    """Yield the ids of the records that the lake has of the day, at most `DELETE_ROWS` in a list."""
    for batch in lake.scan(logged.table, [logged.day], columns=[ID]):
        ids = batch.column(0).unique().to_pylist()
        for first in range(0, len(ids), DELETE_ROWS):
            yield ids[first : first + DELETE_ROWS]


def _log_of(logged: LoggedDay) -> Table:
    return access_log if isinstance(logged, DayOfAccess) else inference_log


def _marker(logged: LoggedDay) -> tuple[Any, ...]:
    columns = log_export.c
    return (
        columns.log == _log_of(logged).name,
        columns.use_case == logged.use_case,
        columns.day == logged.day,
    )
