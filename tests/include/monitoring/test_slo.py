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


def test_a_kept_promise_is_met_with_its_budget_untouched(database):
    found = service(database, *(row(n) for n in range(10)))
    assert (found.outcome, found.availability, found.budget_left) == ("met", 1, 1)
    assert (found.latency_p50, found.latency_p99) == (5, 5)


@pytest.mark.parametrize(("failures", "outcome", "left"), [(1, "met", 0.5), (2, "met", 0), (4, "broken", -1)])
def test_failures_spend_the_budget(database, failures, outcome, left):
    found = service(database, *(row(n, 503 if n < failures else 200) for n in range(20)))
    assert found.outcome == outcome
    assert found.budget_left == pytest.approx(left)


def test_slow_answers_break_the_promise_too(database):
    found = service(database, *(row(n, latency_ms=101.0) for n in range(10)))
    assert found.outcome == "broken"
    assert "101 ms, 100 ms promised" in found.reason


def test_a_request_that_the_champion_answered_after_the_challenger_failed_is_one_slower_answer(database):
    failed = row(1, 500, version=2, role="challenger", latency_ms=20.0)
    found = service(database, failed, row(1, latency_ms=5.0))
    assert (found.requests, found.failed, found.latency_p50) == (1, 0, 25)


def test_what_callers_did_wrong_and_shadows_spend_nothing(database):
    copies = (row(n, 500, role="shadow", version=2) for n in range(3))
    found = service(database, row(1), row(2, 422), *copies)
    assert (found.requests, found.failed, found.refused) == (1, 0, 1)


def test_without_requests_nothing_is_known(database):
    found = service(
        database,
        row(1, received_at=NOW - timedelta(days=29)),
        row(2, use_case="other"),
        row(3, received_at=NOW),
    )
    assert (found.outcome, found.requests, found.availability) == ("inconclusive", 0, None)


def test_a_promise_of_everything_has_no_budget_to_spend(database):
    slo = SLO.model_copy(update={"availability": 1.0})
    assert service(database, row(1), slo=slo).budget_left == 1
    found = service(database, row(2, 500), slo=slo)
    assert (found.outcome, found.budget_left) == ("broken", 0)
