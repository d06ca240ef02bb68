"""Whether the monitoring of a champion has stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from include.database.tables import monitoring_result
from include.declarations import Schedules
from include.release import rollout, rollout_status
from include.release.heartbeat import find_silences
from include.use_cases.flight_delay import USE_CASE

NAME = USE_CASE.name


@pytest.fixture
def now(database):
    """Return the time; version 1 was just promoted."""
    lease = rollout.begin(database, NAME, 1, owner="run", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
    return rollout_status.database_time(database)


def silences(database, now, after=timedelta(), **schedules):
    use_case = USE_CASE.model_copy(
        update={"schedules": Schedules(**{"monitoring": f"{now:%M %H} * * *", **schedules})}
    )
    with database.connect() as connection:
        return find_silences(connection, {NAME: use_case}, now + after)


def record(database, at):
    row = {
        "use_case": NAME, "version": 1, "at": at, "window_start": at, "window_end": at, "run": str(at),
        "decision": "nothing", "figures": {"drift": {}},
    }  # fmt: skip
    with database.begin() as connection:
        connection.execute(insert(monitoring_result), row)


def test_new_champion_is_not_silent_before_its_first_check(database, now):
    assert silences(database, now, timedelta(hours=25)) == {}
    (silence,) = silences(database, now, timedelta(hours=27)).values()
    assert silence.checked_at is None


def test_check_that_is_missing_is_found(database, now):
    record(database, now + timedelta(hours=24, minutes=5))
    assert silences(database, now, timedelta(hours=27)) == {}
    (silence,) = silences(database, now, timedelta(hours=51)).values()
    assert silence.checked_at == silence.since == now + timedelta(hours=24, minutes=5)


def test_model_without_a_schedule_is_never_silent(database, now):
    assert silences(database, now, timedelta(days=9), monitoring=None) == {}


def test_model_without_a_champion_is_never_silent(database):
    moment = rollout_status.database_time(database)
    assert silences(database, moment, timedelta(days=9)) == {}
