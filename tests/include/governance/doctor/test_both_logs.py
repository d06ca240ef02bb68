"""Both logs of requests compared, from PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert

from include.database.tables import access_log, inference_log
from include.governance.doctor.both_logs import LoggedResponses, compare_logs
from tests.access_rows import access_row, mark_complete

NOW = datetime.now(UTC)
AT = NOW - timedelta(minutes=1)


@pytest.fixture
def log(database):
    """Return a function that logs a request: what the gateway saw, and who recorded an answer to it."""

    def write(*, entry=None, answered_by=(1,), at=AT, **record):
        identity = uuid4()
        rows = [
            {
                "use_case": "delay", "request_id": "r", "gateway_id": identity, "version": version,
                "role": "champion", "status": 200, "latency_ms": 1.0, "received_at": at,
            } | record
            for version in answered_by
        ]  # fmt: skip
        with database.begin() as connection:
            if entry is not None:
                connection.execute(insert(access_log), access_row(id=identity, received_at=at, **entry))
            if rows:
                connection.execute(insert(inference_log), rows)

    return write


def read(database):
    with database.connect() as connection:
        return compare_logs(connection, "delay", NOW)


def test_requests_with_one_answer_are_counted(database, log):
    mark_complete(database, NOW)
    for _ in range(3):
        # Callers may repeat a request id.
        log(entry={})
    # The challenger answered, but too late.
    log(entry={"retries": 1}, answered_by=(1, 2))
    log(entry={"status": 503, "version": None}, answered_by=())
    assert read(database) == LoggedResponses(4)


def test_requests_without_one_answer_are_counted(database, log):
    mark_complete(database, NOW)
    log(entry={}, answered_by=())
    log(entry={}, answered_by=(2,))
    log()
    log(entry={}, answered_by=(1, 2))
    assert read(database) == LoggedResponses(3, unrecorded=2, unlogged=1, answered_twice=1)


def test_what_may_be_on_its_way_is_not_compared(database, log):
    log(entry={}, answered_by=())
    assert read(database) == LoggedResponses(behind=None)
    mark_complete(database, NOW - timedelta(minutes=2))
    log(answered_by=(1,), role="shadow", at=AT - timedelta(minutes=30))
    assert read(database) == LoggedResponses(behind=timedelta(minutes=2))
