from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.database.tables import access_log, inference_log
from include.declarations import Slo
from include.monitoring.slo import (
    BURN_RULES,
    FALSE_ALARM_RATE,
    expected_requests,
    find_fired_steps,
    find_stale_features,
    find_surge,
    judge_burn,
    measure_burn,
    measure_service,
)
from tests.access_rows import access_row

NOW = datetime(2026, 1, 29, tzinfo=UTC)
SLO = Slo(availability=0.9, latency_p99_ms=100, window_days=28, minimum_requests=1)


def row(number, status=200, **changes):
    """Return a request that reached its caller through version 1."""
    return access_row(request_id=f"r{number}", received_at=NOW - timedelta(hours=1), status=status) | changes


def service(database, *rows, slo=SLO):
    with database.begin() as connection:
        if rows:
            connection.execute(access_log.insert(), rows)
        return measure_service(connection, "delay", slo, end=NOW)


def test_met_objective_leaves_the_whole_budget(database):
    level = service(database, *(row(n) for n in range(10)))
    assert (level.outcome, level.availability, level.budget_left) == ("met", 1, 1)
    assert (level.latency_p50, level.latency_p99) == (5, 5)


@pytest.mark.parametrize(("failures", "outcome", "left"), [(1, "met", 0.5), (2, "met", 0), (4, "broken", -1)])
def test_failures_use_the_budget(database, failures, outcome, left):
    level = service(database, *(row(n, 503 if n < failures else 200) for n in range(20)))
    assert level.outcome == outcome
    assert level.budget_left == pytest.approx(left)


def test_slow_responses_break_the_objective(database):
    level = service(database, *(row(n, latency_ms=101.0) for n in range(10)))
    assert level.outcome == "broken"
    assert "101 ms, 100 ms promised" in level.reason


def test_request_answered_after_a_failure_is_one_slow_response(database):
    level = service(database, row(1, first_version=2, retries=1, redispatched=True, latency_ms=25.0))
    assert (level.requests, level.failed, level.latency_p50) == (1, 0, 25)


def test_refused_requests_and_callers_that_left_use_no_budget(database):
    left = row(3, -1, termination="CH")
    level = service(database, row(1), row(2, 422), row(4, 413, first_version=None, version=None), left)
    assert (level.requests, level.failed, level.refused) == (1, 0, 2)


@pytest.mark.parametrize(
    "failure",
    [
        {"status": 504, "termination": "sH"},
        {"status": 503, "termination": "SC"},
        {"status": 502, "termination": "SH"},
        {"status": -1, "termination": "SD"},
    ],
)
def test_requests_that_the_gateway_failed_use_the_budget(database, failure):
    level = service(database, row(1), row(2, **failure), row(3, **failure))
    assert (level.outcome, level.requests, level.failed) == ("broken", 3, 2)


def test_explanations_are_no_predictions(database):
    level = service(database, row(1), row(2, 500, endpoint="explanations"))
    assert (level.requests, level.failed) == (1, 0)


def test_service_without_requests_is_inconclusive(database):
    level = service(
        database,
        row(1, received_at=NOW - timedelta(days=29)),
        row(2, use_case="other"),
        row(3, received_at=NOW),
    )
    assert (level.outcome, level.requests, level.availability) == ("inconclusive", 0, None)


def test_objective_of_all_requests_has_no_budget(database):
    slo = SLO.model_copy(update={"availability": 1.0})
    assert service(database, row(1), slo=slo).budget_left == 1
    level = service(database, row(2, 500), slo=slo)
    assert (level.outcome, level.budget_left) == ("broken", 0)


@pytest.mark.parametrize(("requests", "outcome"), [(99, "inconclusive"), (100, "broken")])
def test_few_requests_are_inconclusive_and_named(database, requests, outcome):
    slo = SLO.model_copy(update={"minimum_requests": 100})
    level = service(database, *(row(n, latency_ms=300.0) for n in range(requests)), slo=slo)
    assert level.outcome == outcome
    assert (f"{requests} requests since" in level.reason) == (outcome == "inconclusive")
    assert ("100 are needed" in level.reason) == (outcome == "inconclusive")


@pytest.mark.parametrize(("failures", "outcome", "left"), [(1, "met", 0), (2, "broken", -1)])
def test_one_failure_of_a_hundred_does_not_break_99_9(database, failures, outcome, left):
    slo = SLO.model_copy(update={"availability": 0.999})
    level = service(database, *(row(n, 503 if n < failures else 200) for n in range(100)), slo=slo)
    assert (level.outcome, level.budget_left) == (outcome, left)


def test_failures_belong_to_the_version_that_caused_them(database):
    rows = [
        row(1, 503, version=1),
        row(2, 503, version=1, first_version=2, assigned_version=2),
        row(3, 503, version=None, first_version=None, assigned_version=2, termination="SC"),
        row(4, version=2),
    ]
    with database.begin() as connection:
        connection.execute(access_log.insert(), rows)
        of = {n: measure_service(connection, "delay", SLO, end=NOW, version=n) for n in (1, 2)}
        since = NOW - timedelta(minutes=30)
        later = measure_service(connection, "delay", SLO, start=since, end=NOW, version=1)
    assert [(of[n].requests, of[n].failed) for n in (1, 2)] == [(2, 2), (2, 1)]
    assert later.requests == 0


STEPS_PER_HOUR = 12
QUIET = [100] * 72 * STEPS_PER_HOUR


def fired(failed, slo=None, requests=QUIET, **arguments):
    """Return the rates of the rules that fired; `failed` are the last failures, in steps of 5 minutes."""
    counts = np.zeros(len(requests), dtype=np.int64)
    if failed:
        counts[-len(failed) :] = failed
    burns = judge_burn(np.array(requests), counts, slo or Slo(availability=0.999), **arguments)
    return [burn.rule.rate for burn in burns if burn.fired]


@pytest.mark.parametrize(
    ("failed", "rates"),
    [
        ([], []),
        # A fifth of the requests fails for five minutes.
        ([20], [14.4]),
        # After half an hour, and when it has been over for 10 minutes and for an hour.
        ([100] * 6, [14.4, 6, 1]),
        ([100] * 6 + [0] * 2, [6, 1]),
        ([100] * 6 + [0] * 12, [1]),
        # 1 % of errors for an hour is 10 times the budget, for six hours, too.
        ([1] * 12, []),
        ([1] * 72, [6]),
        # 0.2 % for three days burns slowly; just what is allowed does not.
        ([1, 0, 0, 0, 0] * 173, [1]),
        ([1] + [0] * 9, []),
        ([1] + [0] * 863, []),
    ],
)
def test_burn_rates_fire_as_in_the_workbook(failed, rates):
    assert fired(failed[-len(QUIET) :]) == rates


@given(st.integers(0, 2**32 - 1))
def test_errors_within_the_budget_fire_nothing_fast(seed):
    rng = np.random.default_rng(seed)
    failed = rng.binomial(1_000, 0.0005, 864)
    assert fired(failed.tolist(), requests=[1_000] * 864) == []


def test_short_outage_within_the_hour_is_seen_at_its_end():
    outage = [100] * 4 + [0] * 7
    assert 14.4 not in fired(outage)
    assert 14.4 in fired(outage, n_judged=12)


def test_burn_rate_of_few_requests_does_not_fire():
    requests = [1] * 864
    # Only three days have enough of them.
    assert fired([1] * 12, requests=requests) == [1]
    assert fired([1] * 12, Slo(minimum_requests=10), requests=requests) == [14.4, 6, 1]


@pytest.mark.parametrize(("failures", "rates"), [(2, []), (3, [14.4])])
def test_two_failures_by_chance_in_a_small_hour_fire_nothing(failures, rates):
    # The other windows have more requests.
    assert fired([failures], requests=[10] * 864) == rates


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_outage_of_a_small_service_fires_within_five_minutes(share):
    assert fired([round(10 * share)], requests=[10] * 864) == [14.4, 6]


@pytest.mark.parametrize("requests", [10, 100, 1_000])
@pytest.mark.parametrize("rule", BURN_RULES)
def test_objective_just_met_keeps_the_rate_of_false_alarms(requests, rule):
    n_judged = 250_000
    traffic = np.full(n_judged + 864, requests)
    failed = np.random.default_rng(1).binomial(traffic, 0.001)
    assert find_fired_steps(rule, traffic, failed, Slo(), n_judged=n_judged).mean() <= FALSE_ALARM_RATE


def test_burn_of_an_objective_of_all_requests_fires():
    assert fired([1], Slo(availability=1.0)) == [14.4, 6, 1]


def test_burn_is_measured_by_the_access_log(database):
    rows = [row(n, 503, received_at=NOW - timedelta(minutes=5 + n % 5, seconds=1)) for n in range(100)]
    rows += [row(100 + n, received_at=NOW - timedelta(days=4)) for n in range(100)]
    rows += [row(200 + n, received_at=NOW - timedelta(minutes=1)) for n in range(100)]
    with database.begin() as connection:
        connection.execute(access_log.insert(), rows)
        hour = {"start": NOW - timedelta(hours=1), "end": NOW}
        burns = measure_burn(connection, "delay", Slo(), **hour)
        other = measure_burn(connection, "other", Slo(), **hour)
    assert [(burn.fired, burn.requests, burn.failed) for burn in burns] == [(True, 100, 100)] * 3
    assert "burns 1000.0 times as fast" in burns[0].reason
    assert "100 of 100 requests failed in 1 h, 14.4 times is the limit" in burns[0].reason
    assert [burn.fired for burn in other] == [False] * 3


@pytest.mark.parametrize(
    ("now", "weeks", "expected"),
    [(0, (20, 30, 12), 12), (1, (20, 30, 12), None), (0, (20, 30, 9), None), (0, (20, 30), None)],
    ids=["silent", "one request", "little traffic", "new model"],
)
def test_hour_without_requests_is_compared_with_usual_ones(database, now, weeks, expected):
    end = NOW.replace(minute=30)
    start = end - timedelta(hours=1)
    moments = [start] * now
    for number, count in enumerate(weeks, start=1):
        moments += [end - timedelta(weeks=number, minutes=1)] * count
    with database.begin() as connection:
        connection.execute(access_log.insert(), [row(1, 422, received_at=moment) for moment in moments])
        assert expected_requests(connection, "delay", start=start, end=end) == expected


@pytest.mark.parametrize(
    ("now", "weeks", "is_surge"),
    [(61, (20, 15, 12), True), (60, (20, 15, 12), False), (61, (20, 15, 9), False), (61, (), False)],
    ids=["surge", "busy", "little traffic", "new model"],
)
def test_hour_with_many_requests_is_a_surge(database, now, weeks, is_surge):
    start = NOW - timedelta(hours=1)
    moments = [start] * now
    for number, count in enumerate(weeks, start=1):
        moments += [NOW - timedelta(weeks=number, minutes=1)] * count
    with database.begin() as connection:
        connection.execute(access_log.insert(), [row(1, received_at=moment) for moment in moments])
        surge = find_surge(connection, "delay", start=start, end=NOW)
    assert bool(surge) == is_surge
    assert not is_surge or "61 requests from 2026-01-28 23:00 to 00:00, when there usually are 20" in surge


@pytest.mark.parametrize(
    ("limit", "lookups", "is_stale"),
    [(600, 5, True), (901, 5, False), (600, 4, False), (None, 5, False)],
    ids=["old", "fresh enough", "few look-ups", "not promised"],
)
def test_features_older_than_promised_are_named(database, limit, lookups, is_stale):
    values = {"use_case": "delay", "request_id": "r", "version": 1, "role": "champion", "latency_ms": 5.0}
    values |= {"received_at": NOW - timedelta(minutes=1), "status": 200}
    rows = [values | {"feature_age_s": 900.0} for _ in range(lookups)] + [values | {"feature_age_s": None}]
    slo = Slo(feature_age_s=limit, minimum_requests=5)
    with database.begin() as connection:
        connection.execute(inference_log.insert(), rows)
        hour = {"start": NOW - timedelta(hours=1), "end": NOW}
        stale = find_stale_features(connection, "delay", slo, **hour)
    assert bool(stale) == is_stale
    assert not is_stale or "5 look-ups were 900 s old (99th percentile), 600 s are promised" in stale
