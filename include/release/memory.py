"""Resident memory of model servers over time, and whether it grows as that of a leak."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, text

from include.database.tables import server_memory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection

RETENTION = timedelta(days=2)
# A server leaks if it needs more than so many times the memory of before.
GROWTH = 2
MEGABYTE = 1e6

# The least of now against the most of then: what a request needs is returned, what leaks is not.
_COMPARE = text("""
WITH sample AS (
  SELECT version, replica, at, bytes, min(at) OVER (PARTITION BY version, replica) AS first
  FROM server_memory
  WHERE use_case = :use_case AND at >= :start AND at < :finish
    AND (CAST(:version AS integer) IS NULL OR version = :version)
), compared AS (
  SELECT version, replica, max(bytes) FILTER (WHERE at < first + :span) AS before,
         min(bytes) FILTER (WHERE at >= :finish - CAST(:span AS interval)) AS now
  FROM sample WHERE first + 2 * CAST(:span AS interval) <= :finish
  GROUP BY version, replica
)
SELECT version, replica, before, now FROM compared
WHERE now > :growth * before ORDER BY version, replica
""")


def record_memory(connection: Connection, samples: Sequence[dict[str, Any]]) -> None:
    """Write samples of `use_case`, `version`, `replica` and `bytes`, and delete old ones."""
    if samples:
        connection.execute(server_memory.insert(), list(samples))
    connection.execute(delete(server_memory).where(server_memory.c.at < func.clock_timestamp() - RETENTION))


def find_growth(
    connection: Connection,
    use_case: str,
    *,
    start: datetime,
    end: datetime,
    span: timedelta,
    version: int | None = None,
) -> str:
    """
    Return which model servers need more than `GROWTH` times their memory of before, with figures; else "".

    The least memory in the last `span` before `end` is compared with the most in the first `span` of the
    samples since `start`. Of a server with fewer than two spans nothing is known.
    """
    window = {"use_case": use_case, "version": version, "start": start, "finish": end}
    rows = connection.execute(_COMPARE, window | {"span": span, "growth": GROWTH})
    minutes = span / timedelta(minutes=1)
    return "; ".join(
        f"the memory of version {row.version} grows: its model server {row.replica} needed "
        f"{row.now / MEGABYTE:.0f} MB or more in the last {minutes:g} minutes, at most "
        f"{row.before / MEGABYTE:.0f} MB before"
        for row in rows
    )
