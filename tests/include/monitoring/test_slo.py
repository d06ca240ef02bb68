from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import inference_log
from include.declarations import Slo
from include.monitoring.slo import measure_service

NOW = datetime(2026, 1, 29, tzinfo=UTC)
SLO = Slo(availability=0.9, latency_p99_ms=100, window_days=28)


def row(number, status=200, **changes):
    values = {
        "use_case": "delay", "request_id": f"r{number}", "version": 1, "role": "champion", "entity_id": None,
        "received_at": NOW - timedelta(hours=1), "latency_ms": 5.0, "status": status, "inputs": None,
        "predictions": None,
    }  # fmt: skip
    return values | changes


def service(database, *rows, slo=SLO):
    with database.begin() as connection:
        if rows:
            connection.execute(inference_log.insert(), rows)
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
    failed = row(1, 500, version=2, role="challenger", latency_ms=20.0)
    level = service(database, failed, row(1, latency_ms=5.0))
    assert (level.requests, level.failed, level.latency_p50) == (1, 0, 25)


def test_refused_requests_and_shadows_use_no_budget(database):
    copies = (row(n, 500, role="shadow", version=2) for n in range(3))
    level = service(database, row(1), row(2, 422), *copies)
    assert (level.requests, level.failed, level.refused) == (1, 0, 1)


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
