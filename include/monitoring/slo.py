"""Service level of a use case compared with its objective, and the error budget that is left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from include.declarations import Slo

SloOutcome = Literal["met", "broken", "inconclusive"]

# What callers got, by the gateway's access log: also requests that HAProxy timed out, repeated or answered
# itself. Requests that were refused (4xx) are the caller's mistake and do not use the error budget; nor do
# those whose caller left before the response. Copies to a shadow are not in the access log.
_COUNT_CALLS = text("""
WITH call AS (
  SELECT latency_ms, status BETWEEN 200 AND 299 AS answered, status BETWEEN 400 AND 499 AS refused
  FROM access_log
  WHERE use_case = :use_case AND endpoint = 'invocations'
    AND received_at >= :start AND received_at < :finish
    AND (status BETWEEN 200 AND 599 OR termination NOT LIKE 'C%')
)
SELECT count(*) FILTER (WHERE NOT refused) AS requests,
       count(*) FILTER (WHERE NOT answered AND NOT refused) AS failed,
       count(*) FILTER (WHERE refused) AS refused,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS latency_p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS latency_p99
FROM call
""")


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """
    Service level in one time window.

    `refused` requests had a status 4xx and are not part of `requests`. Latency percentiles are in ms, or None
    if no request was answered. `budget_left` is the unused share of the failures that the objective allows:
    1 is unused, 0 is used up, below 0 is exceeded.
    """

    outcome: SloOutcome
    reason: str
    requests: int
    failed: int
    refused: int
    availability: float | None
    latency_p50: float | None
    latency_p99: float | None
    budget_left: float


def measure_service(connection: Connection, use_case: str, slo: Slo, *, end: datetime) -> ServiceLevel:
    """Return the service level in the `slo.window_days` before `end`."""
    window = {"use_case": use_case, "start": end - timedelta(days=slo.window_days), "finish": end}
    row = connection.execute(_COUNT_CALLS, window).mappings().one()
    requests = row["requests"]
    failed = row["failed"]
    if not requests:
        reason = f"no request in {slo.window_days} days"
        return ServiceLevel("inconclusive", reason, availability=None, budget_left=1.0, **row)
    availability = 1 - failed / requests
    problems = []
    if availability < slo.availability:
        problems.append(f"availability {availability:.4%}, {slo.availability:.4%} promised")
    if row["latency_p99"] is not None and row["latency_p99"] > slo.latency_p99_ms:
        problems.append(f"latency p99 {row['latency_p99']:.0f} ms, {slo.latency_p99_ms:g} ms promised")
    reason = "; ".join(problems) or f"availability {availability:.4%} over {requests} requests"
    return ServiceLevel(
        "broken" if problems else "met",
        reason,
        availability=availability,
        budget_left=_budget_left(failed, requests, slo.availability),
        **row,
    )


def _budget_left(failed: int, requests: int, objective: float) -> float:
    allowed = (1 - objective) * requests
    if allowed:
        return 1 - failed / allowed
    return 0.0 if failed else 1.0
