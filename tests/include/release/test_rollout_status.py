"""Status of a rollout, read from PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import live_state
from include.release import rollout
from include.release.rollout_status import RolloutStatus, analyse_stage, database_time, read_rollout_status
from include.use_cases.flight_delay import USE_CASE
from tests.access_rows import log_requests

NAME = USE_CASE.name


@pytest.fixture
def since(database):
    """Return when version 2 began to replace version 1."""
    lease = rollout.begin(database, NAME, 1, owner="first", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
    rollout.begin(database, NAME, 2, owner="second", actor="ann")
    return database_time(database)


def report(database, generation, *, ready=True, **detail):
    values = {"use_case": NAME, "generation": generation, "ready": ready, "detail": detail}
    with database.begin() as connection:
        connection.execute(live_state.insert().values(values))


def read_status(database, version=2):
    with database.connect() as connection:
        return read_rollout_status(connection, NAME, version)


def desired(database):
    with database.connect() as connection:
        return rollout.read_state(connection, NAME).generation


def test_database_time_has_a_time_zone_and_advances(database):
    first = database_time(database)
    second = database_time(database)
    assert first < second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)


def test_nothing_is_live_before_the_controller_reports(database, since):
    status = read_status(database)
    assert (status.live, status.address) == (False, None)
    assert "not reported generation" in status.reason


@pytest.mark.parametrize("behind", [1, -1])
def test_report_of_another_generation_is_not_live(database, since, behind):
    report(database, desired(database) - behind)
    status = read_status(database)
    assert (status.live, status.address) == (False, None)
    assert "not reported generation" in status.reason


def test_ready_generation_is_live_with_the_server_address(database, since):
    report(database, desired(database), servers={"2": {"address": "127.0.0.1:9002"}})
    assert read_status(database) == RolloutStatus(True, "", "127.0.0.1:9002")
    assert read_status(database, version=3) == RolloutStatus(True, "", None)


def test_reason_of_the_server_comes_first(database, since):
    servers = {"2": {"reason": "the certificate is missing"}}
    report(database, desired(database), ready=False, reason="version 2 is down", servers=servers)
    assert read_status(database) == RolloutStatus(False, "the certificate is missing", None)


def test_reason_of_the_controller_is_the_default(database, since):
    report(database, desired(database), ready=False, reason="HAProxy refused the configuration")
    assert read_status(database).reason == "HAProxy refused the configuration"


def log(database, version, role, count, **changes):
    rows = [
        {
            "use_case": NAME, "request_id": f"{number}", "version": version, "role": role, "latency_ms": 4.0,
            "received_at": database_time(database), "status": 200, "predictions": [0.2],
        } | changes
        for number in range(count)
    ]  # fmt: skip
    log_requests(database, rows)


def outcome(database, since, stage="canary"):
    with database.connect() as connection:
        return analyse_stage(connection, USE_CASE, 2, since=since, stage=stage).outcome


def test_canary_is_compared_with_the_current_champion(database, since):
    log(database, 1, "champion", 30)
    assert outcome(database, since) == "inconclusive"
    log(database, 2, "challenger", 30)
    assert outcome(database, since) == "promote"


def test_shadow_is_analysed_by_its_copies(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30)
    assert outcome(database, since, "shadow") == "inconclusive"
    log(database, 2, "shadow", 30)
    assert outcome(database, since, "shadow") == "promote"


def test_requests_before_the_step_do_not_count(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30, status=500, received_at=since - timedelta(hours=1))
    assert outcome(database, since) == "inconclusive"


def test_failing_challenger_is_rolled_back(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30, status=500)
    assert outcome(database, since) == "roll_back"
