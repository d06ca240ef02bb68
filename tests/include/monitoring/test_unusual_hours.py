from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import access_log
from include.declarations import Slo
from include.monitoring.unusual_hours import find_refused_callers, find_slow_hour
from tests.access_rows import access_row

NOW = datetime(2026, 1, 29, tzinfo=UTC)
HOUR = timedelta(hours=1)
SLO = Slo(minimum_requests=2)


def log(database, *rows):
    with database.begin() as connection:
        connection.execute(access_log.insert(), rows)


def hours(first, last, **changes):
    """Return two requests in each of these hours before now."""
    moments = [NOW - hour * HOUR + timedelta(minutes=1) for hour in range(first, last + 1)]
    return [access_row(received_at=moment, **changes) for moment in moments * 2]


def slow(database):
    with database.connect() as connection:
        return find_slow_hour(connection, "delay", SLO, end=NOW)


@pytest.mark.parametrize(
    ("before", "latency", "is_slow"), [(50, 100, True), (50, 60, False), (2, 4, False)],
    ids=["doubled", "a little slower", "some milliseconds"],
)  # fmt: skip
def test_hour_is_slow_against_the_week_before(database, before, latency, is_slow):
    log(database, *hours(2, 30, latency_ms=before), *hours(1, 1, latency_ms=latency))
    expected = (
        f"half of the responses took {latency} ms or more in the last hour, where {before} ms are usual"
    )
    assert slow(database) == (expected if is_slow else "")


def test_slow_hour_of_a_new_model_is_not_judged(database):
    log(database, *hours(2, 20, latency_ms=50), *hours(1, 1, latency_ms=500))
    assert slow(database) == ""


def refused(database):
    with database.connect() as connection:
        return find_refused_callers(connection, "delay", start=NOW - HOUR, end=NOW)


def test_caller_whose_requests_are_refused_is_named(database):
    answered = [access_row(received_at=NOW - HOUR / 2, caller="shop")] * 3
    log(database, *(row | access_row(caller="shop", received_at=row["received_at"]) for row in answered))
    garbage = [access_row(received_at=NOW - HOUR / 2, caller="robot", status=422) for _ in range(20)]
    log(database, *garbage)
    assert refused(database) == "20 of 20 requests of robot could not be read, and were refused"


@pytest.mark.parametrize(
    ("count", "status", "others"), [(19, 422, 0), (20, 429, 0), (20, 422, 21)],
    ids=["few", "too many at once", "less than half"],
)  # fmt: skip
def test_usual_refusals_are_no_garbage(database, count, status, others):
    rows = [access_row(received_at=NOW - HOUR / 2, status=status) for _ in range(count)]
    log(database, *rows, *(access_row(received_at=NOW - HOUR / 2) for _ in range(others)))
    assert refused(database) == ""
