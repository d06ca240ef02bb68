"""Hours that are unlike the week before: slow responses, and callers whose requests cannot be read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from include.declarations import Slo

WEEK = timedelta(weeks=1)
# An hour is slow if its median latency is so many times the usual one, and by so many ms more. The usual
# one is what nine of ten hours of a week keep below, of at least a day's hours.
SLOW_RATIO = 1.5
MIN_SLOWDOWN_MS = 5
MIN_USUAL_HOURS = 24
# A caller sends garbage if at least so many of its requests, and half of them, are refused as unreadable.
MIN_REFUSED = 20

_COMPARE_LATENCY = text("""
WITH hour AS (
  SELECT floor(extract(epoch FROM CAST(:finish AS timestamptz) - received_at) / 3600) AS age,
         percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) AS latency
  FROM access_log
  WHERE use_case = :use_case AND endpoint = 'invocations' AND status BETWEEN 200 AND 299
    AND received_at >= :start AND received_at < :finish
  GROUP BY 1 HAVING count(*) >= :minimum
)
SELECT min(latency) FILTER (WHERE age < 1) AS latency,
       percentile_cont(0.9) WITHIN GROUP (ORDER BY latency) FILTER (WHERE age >= 1) AS usual,
       count(*) FILTER (WHERE age >= 1) AS hours
FROM hour
""")
# Callers are counted by their address, too, but not named by it: the ledger keeps the reason.
_COUNT_REFUSED = text("""
WITH counted AS (
  SELECT caller, client, count(*) AS requests,
         count(*) FILTER (WHERE status IN (400, 413, 415, 422)) AS refused
  FROM access_log
  WHERE use_case = :use_case AND endpoint = 'invocations' AND received_at >= :start AND received_at < :finish
  GROUP BY caller, client
)
SELECT caller, requests, refused FROM counted
WHERE refused >= greatest(:minimum, requests / 2.0) ORDER BY refused DESC LIMIT 3
""")


def find_slow_hour(connection: Connection, use_case: str, slo: Slo, *, end: datetime) -> str:
    """
    Return that the hour before `end` was slow, with the figures; else "".

    It has at least `slo.minimum_requests` answered requests, as have 24 hours of the week before.
    """
    window = {"use_case": use_case, "start": end - WEEK, "finish": end, "minimum": slo.minimum_requests}
    row = connection.execute(_COMPARE_LATENCY, window).one()
    if row.latency is None or row.hours < MIN_USUAL_HOURS:
        return ""
    if row.latency < max(SLOW_RATIO * row.usual, row.usual + MIN_SLOWDOWN_MS):
        return ""
    return (
        f"half of the responses took {row.latency:.0f} ms or more in the last hour, where {row.usual:.0f} ms "
        "are usual"
    )


def find_refused_callers(connection: Connection, use_case: str, *, start: datetime, end: datetime) -> str:
    """Return the callers most of whose requests were refused as unreadable, with the figures; else ""."""
    window = {"use_case": use_case, "start": start, "finish": end, "minimum": MIN_REFUSED}
    callers = [
        f"{row.refused} of {row.requests} requests of {row.caller or 'a caller without a token'} could not "
        "be read, and were refused"
        for row in connection.execute(_COUNT_REFUSED, window)
    ]
    return "; ".join(callers)
