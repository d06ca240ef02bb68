"""Incidents of a model by its monitoring results, ledger and desired state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from include.database.ledger import Entry, append
from include.database.tables import monitoring_result
from include.declarations import Alerts, MaintenanceWindow, Schedules
from include.monitoring.alerting import incidents
from include.monitoring.alerting.failures import RunFailure
from include.release import rollout, rollout_status
from include.release.freeze import ERROR_BUDGET, freeze_releases
from include.use_cases.flight_delay import USE_CASE

NAME = USE_CASE.name


@pytest.fixture
def now(database):
    """Return the time; version 1 is the champion."""
    lease = rollout.begin(database, NAME, 1, owner="run", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
    return rollout_status.database_time(database)


def record(database, action, *, at, part="drift", run="a", **evidence):
    decision = {
        "action": action,
        "reason": f"{action}: 0.9 of 0.5",
        "evidence": {"fired": ["drift"], **evidence},
    }
    row = {
        "use_case": NAME, "version": 1, "at": at, "window_start": at, "window_end": at, "run": run,
        "decision": action, "figures": {part: [], "decision": decision},
    }  # fmt: skip
    with database.begin() as connection:
        connection.execute(insert(monitoring_result), row)


def news(database, now, use_case=USE_CASE, channel="slack"):
    with database.connect() as connection:
        current, silent = incidents.find_incidents(connection, use_case, now)
        existing = incidents.open_by_channel(incidents.read_notifications(connection, NAME), channel)
    return incidents.news_of(NAME, current, existing, silent=silent)


def read(database, now, use_case=USE_CASE, channel="slack"):
    changes = news(database, now, use_case, channel)
    return [incident.kind for incident in changes.began], [incident.kind for incident in changes.ended]


def notify(database, now, *channels):
    changes = {channel: news(database, now, channel=channel) for channel in channels or ("slack",)}
    with database.begin() as connection:
        incidents.record_notified(connection, changes, actor="alerts")


def test_model_that_is_fine_has_no_incident(database, now):
    record(database, "nothing", at=now)
    record(database, "retrain", at=now, run="b")
    assert read(database, now) == ([], [])


def test_alert_is_told_once_and_resolved_when_over(database, now):
    record(database, "alert", at=now)
    assert read(database, now) == (["drift"], [])
    notify(database, now)
    assert read(database, now) == ([], [])
    record(database, "alert", at=now, run="b")
    assert read(database, now) == ([], []), "the same incident goes on"
    record(database, "nothing", at=now, run="c")
    assert read(database, now) == ([], ["drift"])
    notify(database, now)
    assert read(database, now) == ([], [])
    record(database, "alert", at=now, run="d", fired=["quality"])
    assert read(database, now) == (["quality"], [])


def test_alarm_of_the_service_level_ends_with_a_quiet_hour(database, now):
    record(database, "alert", at=now, part="burns", alarms=["burn 14.4"])
    assert read(database, now) == (["service"], [])
    notify(database, now)
    assert read(database, now + timedelta(hours=1)) == ([], [])
    assert read(database, now + timedelta(hours=3)) == ([], ["service"])


def test_monitoring_that_stopped_is_an_incident(database, now):
    daily = USE_CASE.model_copy(update={"schedules": Schedules(monitoring=f"{now:%M %H} * * *")})
    record(database, "nothing", at=now)
    assert read(database, now + timedelta(hours=25), daily) == ([], [])
    assert read(database, now + timedelta(hours=27), daily) == (["silence"], [])
    never = USE_CASE.model_copy(update={"schedules": Schedules(monitoring=None)})
    assert read(database, now + timedelta(days=9), never) == ([], [])


def test_model_without_a_champion_has_no_incident(database):
    moment = rollout_status.database_time(database) + timedelta(days=30)
    assert read(database, moment) == ([], [])


def test_freeze_by_the_error_budget_is_told_with_the_rest(database, now):
    record(database, "alert", at=now)
    with database.begin() as connection:
        freeze_releases(connection, NAME, actor="monitoring", reason="burnt", cause=ERROR_BUDGET)
    assert read(database, now) == (["drift", "frozen"], [])


def test_freeze_by_a_person_silences(database, now):
    with database.begin() as connection:
        freeze_releases(connection, NAME, actor="ann", reason="audit")
    record(database, "alert", at=now)
    assert read(database, now) == ([], [])


def test_maintenance_silences_until_its_end(database, now):
    record(database, "alert", at=now)
    window = MaintenanceWindow(start=now - timedelta(hours=1), end=now + timedelta(hours=1))
    silent = USE_CASE.model_copy(update={"alerts": Alerts(maintenance=(window,))})
    assert read(database, now, silent) == ([], [])
    assert read(database, window.end, silent) == (["drift"], [])
    notify(database, now)
    record(database, "nothing", at=now, run="b")
    assert read(database, now, silent) == ([], ["drift"]), "an end may be told"


def test_channel_that_failed_alone_is_told_later(database, now):
    record(database, "alert", at=now)
    notify(database, now, "slack")
    assert read(database, now, channel="slack") == ([], [])
    assert read(database, now, channel="pager") == (["drift"], [])
    record(database, "nothing", at=now, run="b")
    assert read(database, now, channel="slack") == ([], ["drift"])
    assert read(database, now, channel="pager") == ([], []), "it was never told that it began"


def test_entry_without_channels_was_told_to_all(database, now):
    record(database, "alert", at=now)
    with database.begin() as connection:
        append(connection, Entry(NAME, "alerted", "alerts", "drift", 1, {"kind": "drift"}))
    assert read(database, now, channel="pager") == ([], [])


def test_failures_of_mapped_tasks_are_one_incident():
    parts = [
        RunFailure(NAME, "failed", "d", "run", "t", map_index=index, reason="no memory") for index in range(3)
    ]
    other = RunFailure(NAME, "late_data", "d", "run", "wait", runbook="docs/runbooks/late-data.md")
    mapped, late = incidents.failure_incidents([*parts, other])
    assert (mapped.title, mapped.reason) == ("failed d.t", "no memory (and 2 more of its mapped tasks)")
    assert (mapped.runbook, late.runbook) == ("runbooks/index.md", "runbooks/late-data.md")


def test_long_runs_of_a_dag_are_one_incident():
    runs = [RunFailure(NAME, "long_run", "d", run, reason=f"{run} goes on") for run in ("first", "second")]
    (incident,) = incidents.failure_incidents(runs)
    assert (incident.title, incident.reason) == ("long_run d", "second goes on (and 1 more of its runs)")
