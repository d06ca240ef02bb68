"""How far a rollout is, read from the real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import inference_log, live_state
from include.release import rollout
from include.release.rollout_status import Progress, analyse_stage, now, progress
from include.use_cases.flight_delay import USE_CASE

NAME = USE_CASE.name


@pytest.fixture
def since(database):
    """Return when version 2 began to replace version 1."""
    hold = rollout.begin(database, NAME, 1, owner="first", actor="ann")
    rollout.promote(database, hold, reason="the first", evidence={})
    rollout.begin(database, NAME, 2, owner="second", actor="ann")
    return now(database)


def report(database, generation, *, ready=True, **detail):
    values = {"use_case": NAME, "generation": generation, "ready": ready, "detail": detail}
    with database.begin() as connection:
        connection.execute(live_state.insert().values(values))


def found(database, version=2):
    with database.connect() as connection:
        return progress(connection, NAME, version)


def desired(database):
    with database.connect() as connection:
        return rollout.read_state(connection, NAME).generation


def test_the_databases_clock_has_a_time_zone_and_goes_on(database):
    first, second = now(database), now(database)
    assert first < second
    assert abs(first - datetime.now(UTC)) < timedelta(minutes=1)


def test_before_the_controller_reports_nothing_is_live(database, since):
    assert found(database) == Progress(False, "the controller has not followed yet", None)


@pytest.mark.parametrize("behind", [1, -1])
def test_another_generation_than_the_desired_one_is_not_live(database, since, behind):
    report(database, desired(database) - behind)
    assert found(database) == Progress(False, "the controller has not followed yet", None)


def test_what_is_desired_and_ready_is_live_with_its_servers_address(database, since):
    report(database, desired(database), servers={"2": {"address": "127.0.0.1:9002"}})
    assert found(database) == Progress(True, "", "127.0.0.1:9002")
    assert found(database, version=3) == Progress(True, "", None)


def test_a_server_that_does_not_come_up_says_why(database, since):
    servers = {"2": {"reason": "the certificate is missing"}}
    report(database, desired(database), ready=False, reason="version 2 is down", servers=servers)
    assert found(database) == Progress(False, "the certificate is missing", None)


def test_what_no_server_explains_the_controller_does(database, since):
    report(database, desired(database), ready=False, reason="HAProxy refused the configuration")
    assert found(database).reason == "HAProxy refused the configuration"


def log(database, version, role, count, **changes):
    rows = [
        {
            "use_case": NAME, "request_id": f"{number}", "version": version, "role": role, "latency_ms": 4.0,
            "received_at": now(database), "status": 200, "predictions": [0.2],
        } | changes
        for number in range(count)
    ]  # fmt: skip
    with database.begin() as connection:
        connection.execute(inference_log.insert(), rows)


def outcome(database, since, stage="canary"):
    with database.connect() as connection:
        return analyse_stage(connection, USE_CASE, 2, since=since, stage=stage).outcome


def test_a_challenger_is_judged_against_the_champion_of_now(database, since):
    log(database, 1, "champion", 30)
    assert outcome(database, since) == "inconclusive"
    log(database, 2, "challenger", 30)
    assert outcome(database, since) == "promote"


def test_a_shadow_is_judged_by_its_copies(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30)
    assert outcome(database, since, "shadow") == "inconclusive"
    log(database, 2, "shadow", 30)
    assert outcome(database, since, "shadow") == "promote"


def test_what_was_logged_before_the_step_does_not_count(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30, status=500, received_at=since - timedelta(hours=1))
    assert outcome(database, since) == "inconclusive"


def test_a_challenger_that_fails_has_to_go_back(database, since):
    log(database, 1, "champion", 30)
    log(database, 2, "challenger", 30, status=500)
    assert outcome(database, since) == "roll_back"
