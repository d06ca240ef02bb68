"""Service level of a use case, its error budget, how fast it burns, and hours without any request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats
from sqlalchemy import text

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from include.declarations import Slo

SloOutcome = Literal["met", "broken", "inconclusive"]

# What callers got, by the gateway's access log: also requests that HAProxy timed out, repeated or answered
# itself. Requests that were refused (4xx) are the caller's mistake and do not use the error budget; nor do
# those whose caller left before the response. Copies to a shadow are not in the access log. A failure belongs
# to the version of the last attempt; if no server was asked, to the version that the route had chosen.
_CALLS = """
WITH call AS (
  SELECT received_at, latency_ms, status BETWEEN 200 AND 299 AS answered,
         status BETWEEN 400 AND 499 AS refused
  FROM access_log
  WHERE use_case = :use_case AND endpoint = 'invocations'
    AND received_at >= :start AND received_at < :finish
    AND (status BETWEEN 200 AND 599 OR termination NOT LIKE 'C%')
    AND (CAST(:version AS integer) IS NULL OR coalesce(version, assigned_version, champion) = :version)
)
"""
_COUNT_CALLS = text(
    _CALLS
    + """
SELECT count(*) FILTER (WHERE NOT refused) AS requests,
       count(*) FILTER (WHERE NOT answered AND NOT refused) AS failed,
       count(*) FILTER (WHERE refused) AS refused,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS latency_p50,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY latency_ms) FILTER (WHERE answered) AS latency_p99
FROM call
"""
)
_COUNT_BY_AGE = text(
    _CALLS
    + """
SELECT floor(extract(epoch FROM CAST(:finish AS timestamptz) - received_at) / :step_s)::int AS age,
       count(*) AS requests, count(*) FILTER (WHERE NOT answered) AS failed
FROM call WHERE NOT refused GROUP BY age
"""
)
# Whatever became of them: also a request that was refused has reached the gateway.
_COUNT_ARRIVALS = text("""
SELECT count(*) FROM access_log
WHERE use_case = :use_case AND received_at >= :start AND received_at < :finish
""")

_MEASURE_FEATURE_AGE = text("""
SELECT count(feature_age_s) AS lookups, percentile_cont(0.99) WITHIN GROUP (ORDER BY feature_age_s) AS p99
FROM inference_log
WHERE use_case = :use_case AND role IN ('champion', 'challenger')
  AND received_at >= :start AND received_at < :finish
""")

# A burn rate is judged after every step.
STEP = timedelta(minutes=5)
WEEK = timedelta(weeks=1)
# A silent hour is one of the usual traffic if there were so many requests at that hour in each of the weeks
# before. If requests come at random, fewer than 1 hour in 20,000 with such traffic has none.
N_WEEKS = 3
USUAL_REQUESTS = 10
# More than so many times the usual requests are a surge.
SURGE = 3


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


@dataclass(frozen=True, slots=True)
class BurnRule:
    """
    Burn rate above which there is an alarm, if it is exceeded in a long and in a short window.

    A burn rate of 1 uses the whole error budget in the window of the objective.
    """

    rate: float
    long: timedelta
    short: timedelta


# Site Reliability Workbook (Beyer et al., 2018), chapter 5, table 5-8. The last one is slow.
BURN_RULES = (
    BurnRule(14.4, timedelta(hours=1), timedelta(minutes=5)),
    BurnRule(6, timedelta(hours=6), timedelta(minutes=30)),
    BurnRule(1, timedelta(days=3), timedelta(hours=6)),
)
LONGEST = max(rule.long for rule in BURN_RULES)
# Probability that so many requests of a long window fail, if the objective is just met. Of few requests a
# failure or two exceed any burn rate by chance: the same chapter, on services with little traffic.
FALSE_ALARM_RATE = 0.001


@dataclass(frozen=True, slots=True)
class Burn:
    """
    Whether a rule fired at a step of the window, and the highest burn rate that fired.

    `rate` is that of the long window. Below `minimum_requests` in the long window a rule does not fire, nor
    if a service that just meets its objective fails as often by chance, with `FALSE_ALARM_RATE`.
    """

    rule: BurnRule
    fired: bool
    rate: float
    requests: int
    failed: int

    @property
    def reason(self) -> str:
        """Figures and limit in words."""
        hours = self.rule.long / timedelta(hours=1)
        return (
            f"the error budget burns {self.rate:.1f} times as fast as it may ({self.failed} of "
            f"{self.requests} requests failed in {hours:g} h, {self.rule.rate:g} times is the limit)"
        )


def measure_service(
    connection: Connection,
    use_case: str,
    slo: Slo,
    *,
    end: datetime,
    start: datetime | None = None,
    version: int | None = None,
) -> ServiceLevel:
    """
    Return the service level in a time window.

    With fewer than `slo.minimum_requests` the outcome is inconclusive. Where the objective allows less than
    one failure, one is allowed.

    Parameters
    ----------
    end
        End of the window.
    start
        Start of the window; by default, and at the earliest, `slo.window_days` before the end.
    version
        Only requests that this version answered or failed; by default all.
    """
    earliest = end - timedelta(days=slo.window_days)
    start = earliest if start is None else max(start, earliest)
    window = {"use_case": use_case, "start": start, "finish": end, "version": version}
    row = connection.execute(_COUNT_CALLS, window).mappings().one()
    requests = row["requests"]
    failed = row["failed"]
    availability = 1 - failed / requests if requests else None
    budget_left = budget_left_of(failed, requests, slo.availability)
    if availability is None or requests < slo.minimum_requests:
        reason = f"{requests} requests since {start:%Y-%m-%d %H:%M}, {failed} of them failed"
        outcome: SloOutcome = "inconclusive"
        reason = f"{reason}; {slo.minimum_requests} are needed"
    else:
        problems = []
        if budget_left < 0 or (failed and slo.availability == 1):
            problems.append(
                f"availability {availability:.4%}, {slo.availability:.4%} promised "
                f"({failed} of {requests} requests failed)"
            )
        if row["latency_p99"] is not None and row["latency_p99"] > slo.latency_p99_ms:
            problems.append(f"latency p99 {row['latency_p99']:.0f} ms, {slo.latency_p99_ms:g} ms promised")
        reason = "; ".join(problems) or f"availability {availability:.4%} over {requests} requests"
        outcome = "broken" if problems else "met"
    return ServiceLevel(outcome, reason, availability=availability, budget_left=budget_left, **row)


def budget_left_of(failed: int, requests: int, objective: float) -> float:
    """Return the unused share of the failures that the objective allows; below 0 it is exceeded."""
    if objective == 1:
        return 0.0 if failed else 1.0
    # 1 - 0.9 is a little less than 0.1.
    return 1 - failed / max(round((1 - objective) * requests, 6), 1.0)


def measure_burn(
    connection: Connection, use_case: str, slo: Slo, *, start: datetime, end: datetime
) -> tuple[Burn, ...]:
    """Return for each of `BURN_RULES` whether it fired from `start` to `end`, by the access log."""
    n_judged = max(round((end - start) / STEP), 1)
    n_steps = n_judged + round(LONGEST / STEP)
    parameters = {"use_case": use_case, "start": end - n_steps * STEP, "finish": end, "version": None}
    parameters["step_s"] = STEP.total_seconds()
    requests = np.zeros(n_steps, dtype=np.int64)
    failed = np.zeros(n_steps, dtype=np.int64)
    for row in connection.execute(_COUNT_BY_AGE, parameters):
        # Of the first moment, the age is one step more.
        position = max(n_steps - 1 - row.age, 0)
        requests[position] += row.requests
        failed[position] += row.failed
    return judge_burn(requests, failed, slo, n_judged=n_judged)


def judge_burn(
    requests: NDArray[np.int64], failed: NDArray[np.int64], slo: Slo, *, n_judged: int = 1
) -> tuple[Burn, ...]:
    """
    Return for each of `BURN_RULES` whether it fired after one of the last `n_judged` steps.

    Parameters
    ----------
    requests, failed
        Counts in steps of `STEP`, oldest first, each (n_steps,); `requests` has the failed ones, too.
    """
    burns = []
    for rule in BURN_RULES:
        total = _last_sums(requests, rule.long, n_judged)
        bad = _last_sums(failed, rule.long, n_judged)
        rates = _burn_rates(total, bad, slo.availability)
        fires = find_fired_steps(rule, requests, failed, slo, n_judged=n_judged)
        worst = int(np.argmax(np.where(fires, rates, -1.0))) if fires.any() else n_judged - 1
        rate = float(rates[worst])
        burns.append(Burn(rule, bool(fires.any()), rate, int(total[worst]), int(bad[worst])))
    return tuple(burns)


def find_fired_steps(
    rule: BurnRule, requests: NDArray[np.int64], failed: NDArray[np.int64], slo: Slo, *, n_judged: int
) -> NDArray[np.bool_]:
    """Return after which of the last `n_judged` steps a rule fired, (n_judged,); see `judge_burn`."""
    total = _last_sums(requests, rule.long, n_judged)
    bad = _last_sums(failed, rule.long, n_judged)
    recent = _burn_rates(
        _last_sums(requests, rule.short, n_judged), _last_sums(failed, rule.short, n_judged), slo.availability
    )
    is_fast = (_burn_rates(total, bad, slo.availability) > rule.rate) & (recent > rule.rate)
    chances = stats.binom.sf(bad - 1, total, 1 - slo.availability)
    fires: NDArray[np.bool_] = is_fast & (total >= slo.minimum_requests) & (chances < FALSE_ALARM_RATE)
    return fires


def _last_sums(counts: NDArray[np.int64], length: timedelta, n_judged: int) -> NDArray[np.int64]:
    """Return the sums over `length` before each of the last `n_judged` steps, (n_judged,)."""
    totals = np.concatenate([[0], np.cumsum(counts)])
    ends = np.arange(len(counts) - n_judged + 1, len(counts) + 1)
    sums: NDArray[np.int64] = totals[ends] - totals[np.maximum(ends - round(length / STEP), 0)]
    return sums


def _burn_rates(
    requests: NDArray[np.int64], failed: NDArray[np.int64], objective: float
) -> NDArray[np.float64]:
    shares = failed / np.maximum(requests, 1)
    # With an objective of all requests any failure is too many.
    allowed = max(1 - objective, np.finfo(np.float64).tiny)
    with np.errstate(over="ignore"):
        return np.asarray(np.minimum(shares / allowed, np.finfo(np.float64).max))


def expected_requests(connection: Connection, use_case: str, *, start: datetime, end: datetime) -> int | None:
    """
    Return how many requests are expected from `start` to `end` if there was none; else None.

    Expected is the least count at the same time in the `N_WEEKS` weeks before; below `USUAL_REQUESTS`, no
    request is nothing unusual. A log cannot tell callers who stayed away from a gateway that was down.
    """

    now, *before = _count_weekly(connection, use_case, start, end)
    return min(before) if not now and min(before) >= USUAL_REQUESTS else None


def find_surge(connection: Connection, use_case: str, *, start: datetime, end: datetime) -> str:
    """
    Return that there were more than `SURGE` times as many requests as usual, with the figures; else "".

    Usual is the largest count at the same time in the `N_WEEKS` weeks before, if each had `USUAL_REQUESTS`.
    """
    now, *before = _count_weekly(connection, use_case, start, end)
    if min(before) < USUAL_REQUESTS or now <= SURGE * max(before):
        return ""
    return (
        f"{now} requests from {start:%Y-%m-%d %H:%M} to {end:%H:%M}, when there usually are {max(before)} or "
        "fewer: a caller repeats requests, or there is a new one"
    )


def _count_weekly(connection: Connection, use_case: str, start: datetime, end: datetime) -> list[int]:
    """Return the requests of a time, and of the same time in each of the weeks before, newest first."""
    counts = []
    for weeks in range(N_WEEKS + 1):
        shifted = {"start": start - weeks * WEEK, "finish": end - weeks * WEEK, "use_case": use_case}
        counts.append(int(connection.execute(_COUNT_ARRIVALS, shifted).scalar_one()))
    return counts


def find_stale_features(
    connection: Connection, use_case: str, slo: Slo, *, start: datetime, end: datetime
) -> str:
    """Return that the features that were looked up were older than promised, with the figures; else ""."""
    if slo.feature_age_s is None:
        return ""
    window = {"use_case": use_case, "start": start, "finish": end}
    row = connection.execute(_MEASURE_FEATURE_AGE, window).one()
    if row.lookups < slo.minimum_requests or row.p99 <= slo.feature_age_s:
        return ""
    return (
        f"the oldest features of {row.lookups} look-ups were {row.p99:.0f} s old (99th percentile), "
        f"{slo.feature_age_s:g} s are promised"
    )
