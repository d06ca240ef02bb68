from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import access_log
from include.declarations import Slo
from include.monitoring.slo import measure_service
from tests.access_rows import access_row

NOW = datetime(2026, 1, 29, tzinfo=UTC)
SLO = Slo(availability=0.9, latency_p99_ms=100, window_days=28)


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
    level = service(database, row(1), row(2, **failure))
    assert (level.outcome, level.requests, level.failed) == ("broken", 2, 1)


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
