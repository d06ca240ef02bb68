"""Requests of the last hour: what the gateway logged compared with what the model servers recorded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

WINDOW = timedelta(hours=1)
# Both logs have a request by this time after it ended.
LAG = timedelta(seconds=10)
# A collector that runs is behind by less than a second.
MAX_BEHIND = timedelta(seconds=60)
# A process that is killed takes what it has not written with it; more than this share is another fault.
LOST_SHARE = 0.02

_COMPARE = text("""
WITH entry AS (
  SELECT id, version, retries FROM access_log
  WHERE use_case = :use_case AND endpoint = 'invocations' AND status BETWEEN 200 AND 299
    AND version IS NOT NULL AND received_at >= :start AND received_at < :finish
), record AS (
  SELECT gateway_id, version FROM inference_log
  WHERE use_case = :use_case AND role IN ('champion', 'challenger') AND status BETWEEN 200 AND 299
    AND gateway_id IS NOT NULL AND received_at >= :start AND received_at < :finish
), repeated AS (
  SELECT gateway_id FROM record GROUP BY gateway_id HAVING count(DISTINCT version) > 1
)
SELECT (SELECT count(*) FROM entry) AS answered,
       (SELECT count(*) FROM entry WHERE NOT EXISTS (
          SELECT FROM inference_log AS own
          WHERE own.gateway_id = entry.id AND own.version = entry.version AND own.status BETWEEN 200 AND 299
       )) AS unrecorded,
       (SELECT count(*) FROM record WHERE NOT EXISTS (
          SELECT FROM access_log WHERE access_log.id = record.gateway_id
       )) AS unlogged,
       (SELECT count(*) FROM entry JOIN repeated ON repeated.gateway_id = entry.id WHERE retries = 0)
         AS answered_twice
""")


@dataclass(frozen=True, slots=True)
class LoggedResponses:
    """
    Requests of the last hour that callers got an answer to.

    Attributes
    ----------
    answered
        Requests with an answer of a version, by the access log.
    unrecorded
        Those of which the inference log has no answer of that version.
    unlogged
        Answers in the inference log whose request is not in the access log.
    answered_twice
        Requests that two versions answered although the gateway asked only once.
    behind
        Time since the access log was complete; None if it never was.
    """

    answered: int = 0
    unrecorded: int = 0
    unlogged: int = 0
    answered_twice: int = 0
    behind: timedelta | None = timedelta(0)


def compare_logs(connection: Connection, use_case: str, now: datetime) -> LoggedResponses:
    """Compare both logs up to the moment until which the access log is complete."""
    watermark = text("SELECT complete_until FROM log_watermark WHERE log = 'access_log'")
    complete_until = connection.scalar(watermark)
    if complete_until is None:
        return LoggedResponses(behind=None)
    finish = min(complete_until, now) - LAG
    parameters = {"use_case": use_case, "start": now - WINDOW, "finish": finish}
    counts = connection.execute(_COMPARE, parameters).mappings().one()
    return LoggedResponses(**counts, behind=now - complete_until)


def describe_problems(responses: LoggedResponses, *, is_served: bool) -> list[str]:
    """Return what is wrong; that the log is behind only if the use case `is_served`."""
    if is_served and responses.behind is None:
        return ["there is no access log: the collector (process access-log) never ran"]
    problems = []
    if is_served and responses.behind is not None and responses.behind > MAX_BEHIND:
        seconds = responses.behind.total_seconds()
        problems.append(f"the access log ends {seconds:.0f} s ago: does its collector (access-log) run?")
    if responses.answered_twice:
        problems.append(f"{responses.answered_twice} requests of the last hour were answered by two versions")
    allowed = LOST_SHARE * responses.answered
    if responses.unrecorded > allowed:
        problems.append(
            f"{responses.unrecorded} of {responses.answered} answers of the last hour are not in the "
            "inference log"
        )
    if responses.unlogged > allowed:
        problems.append(
            f"{responses.unlogged} answers of the last hour are not in the access log, which has "
            f"{responses.answered}: HAProxy dropped lines"
        )
    return problems
