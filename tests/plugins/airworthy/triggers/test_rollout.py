"""Triggers built from their serialised form, with PostgreSQL."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from unittest.mock import Mock

import pytest

from airworthy.triggers import rollout as rollout_trigger
from airworthy.triggers.rollout import RolloutTrigger
from include.database.tables import live_state, server_memory
from include.release import controls, rollout, rollout_status
from tests.plugins.airworthy.triggers.firing import fired, later

WHO = {"actor": "ann", "reason": "wrong version"}


@pytest.fixture
def watch(use_case, database, lake, monkeypatch):
    """Return a function that builds a trigger for the rollout of version 2 over version 1."""
    monkeypatch.setattr(rollout_trigger, "POLL_INTERVAL_S", 0.02)
    first = rollout.begin(database, use_case.name, 1, owner="earlier", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    lease = rollout.begin(database, use_case.name, 2, owner="now", actor="ann")
    rollout.shift(database, lease, weight=2_500, shadow_share=0, reason="canary", key="canary")
    since = rollout_status.database_time(database).isoformat()

    def make(**changes):
        return RolloutTrigger(use_case.name, 2, since, "airworthy_db", **{"timeout": 30.0} | changes)

    return make


@pytest.fixture
def redeclare(declare, use_case):
    """Return a function that declares the use case again, with other fields of its rollout."""

    def change(**changes):
        rollout = use_case.rollout.model_copy(
            update={name: timedelta(seconds=seconds) for name, seconds in changes.items()}
        )
        declare(use_case.model_copy(update={"rollout": rollout}))

    return change


def test_rollout_trigger_fires_if_the_state_is_live(watch, follow, use_case):
    follow(use_case.name, v2="127.0.0.1:9002")
    assert fired(watch()) == {"live": True, "reason": "", "address": "127.0.0.1:9002"}


def test_rollout_trigger_fires_when_the_state_gets_live(watch, follow, use_case):
    timer = later(lambda: follow(use_case.name))
    assert fired(watch())["live"] is True
    timer.join()


def test_rollout_trigger_times_out_with_the_status(watch):
    event = fired(watch(timeout=0.1))
    assert event["live"] is False
    assert event["reason"].startswith("the controller has not reported generation")


def test_status_has_the_reason_of_the_controller(watch, follow, use_case):
    follow(use_case.name, ready=False, reason="the port is taken")
    assert fired(watch(timeout=0.1)) == {"live": False, "reason": "the port is taken", "address": None}


def test_older_generation_is_not_live(watch, follow, use_case, database):
    follow(use_case.name)
    rollout.begin(database, use_case.name, 3, owner="now", actor="ann")
    assert fired(watch(timeout=0.1))["live"] is False


def test_live_state_bakes(watch, follow, serve, use_case, redeclare):
    redeclare(bake=0.4)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    began = time.monotonic()
    follow(use_case.name)
    fired(watch(stage="canary"))
    assert time.monotonic() - began >= 0.4


def test_canary_is_watched_until_it_has_enough_requests(watch, follow, serve, use_case):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    timer = later(lambda: serve(use_case.name, 2, "challenger"))
    assert fired(watch(stage="canary"))["live"] is True
    timer.join()


def test_canary_without_requests_times_out(watch, follow, serve, use_case, redeclare, database):
    redeclare(patience=0.4)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    trigger = watch(stage="canary")
    fired(trigger)
    waited = rollout_status.database_time(database) - datetime.fromisoformat(trigger.since)
    assert waited >= timedelta(seconds=0.4)


def test_failing_challenger_does_not_bake(watch, follow, serve, use_case, redeclare):
    redeclare(bake=6_000, patience=6_000)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger", status=500)
    # The test's own timeout is much shorter.
    assert fired(watch(stage="canary"))["live"] is True


def ready_canary(follow, serve, use_case):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")


def test_paused_step_neither_passes_nor_times_out(watch, follow, serve, use_case, redeclare, database):
    redeclare(patience=0.2)
    ready_canary(follow, serve, use_case)
    controls.pause(database, use_case.name, **WHO)
    began = time.monotonic()
    timer = later(lambda: controls.resume(database, use_case.name, **WHO))
    assert fired(watch(stage="canary"))["live"] is True
    timer.join()
    assert time.monotonic() - began >= 0.2


def test_paused_step_ends_when_the_challenger_fails(watch, follow, serve, use_case, database):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger", status=500)
    controls.pause(database, use_case.name, **WHO)
    assert fired(watch(stage="canary"))["live"] is True


def test_skipped_step_does_not_bake(watch, follow, use_case, redeclare, database):
    redeclare(bake=6_000, patience=6_000)
    follow(use_case.name)
    timer = later(lambda: controls.skip_step(database, use_case.name, **WHO))
    assert fired(watch(stage="canary"))["live"] is True
    timer.join()


@pytest.mark.parametrize("stage", ["canary", None])
def test_aborted_rollout_fires_at_once(watch, follow, use_case, redeclare, database, stage):
    redeclare(bake=6_000, patience=6_000)
    timer = later(lambda: controls.abort(database, use_case.name, **WHO))
    event = fired(watch(stage=stage))
    assert (event["live"], event["reason"]) == (False, "aborted by ann: wrong version")
    assert event.get("outcome", "roll_back") == "roll_back"
    timer.join()


def test_inline_wait_returns_the_event(watch, follow, use_case, database):
    timer = later(lambda: follow(use_case.name, v2="127.0.0.1:9002"))
    event = watch().wait_inline(database, 30.0)
    assert event == {"live": True, "reason": "", "address": "127.0.0.1:9002"}
    timer.join()


def test_inline_wait_returns_none_after_its_time(watch, database):
    assert watch().wait_inline(database, 0.1) is None


def test_inline_wait_does_not_poll_for_a_longer_bake_time(watch, redeclare):
    redeclare(bake=60)
    assert watch(stage="canary").wait_inline(None, 30.0) is None


def test_changed_rollout_is_seen_while_the_trigger_waits(watch, follow, serve, use_case, redeclare):
    redeclare(bake=6_000, patience=6_000)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    timer = later(lambda: redeclare(bake=0))
    assert fired(watch(stage="canary"))["live"] is True
    timer.join()


def test_undeclared_use_case_ends_the_wait_with_the_status(watch, follow, use_case, monkeypatch):
    monkeypatch.setattr(rollout_trigger, "INVALID_TIMEOUT_S", 0.1)
    follow(use_case.name)
    trigger = watch(stage="canary")
    trigger.use_case = "unheard_of"
    assert fired(trigger)["live"] is False


def test_bake_that_timed_out_is_no_pass(watch, follow, serve, use_case, redeclare):
    redeclare(bake=1_000, patience=1_001)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    redeclare(bake=1_000, patience=0.2)
    event = fired(watch(stage="canary"))
    assert (event["live"], event["outcome"]) == (True, "inconclusive")
    assert "not live for its bake time" in event["finding"]


def test_restarted_trigger_goes_on_with_bake_and_patience(
    watch, follow, serve, use_case, redeclare, database
):
    redeclare(bake=6_000, patience=60_000)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    trigger = watch(stage="canary")
    an_hour_ago = datetime.fromisoformat(trigger.since) - timedelta(hours=2)
    trigger.since = an_hour_ago.isoformat()
    with database.begin() as connection:
        connection.execute(
            live_state.update().values(detail={"servers": {}, "live_since": an_hour_ago.isoformat()})
        )
    assert fired(trigger)["outcome"] == "promote"


def test_challenger_that_leaks_memory_is_rolled_back(watch, follow, serve, use_case, database):
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    trigger = watch(stage="canary")
    now = rollout_status.database_time(database)
    trigger.since = (now - timedelta(minutes=10)).isoformat()
    server = {"use_case": use_case.name, "version": 2, "replica": 1}
    with database.begin() as connection:
        for minutes in range(1, 11):
            sample = {"at": now - timedelta(minutes=minutes), "bytes": 1e9 / minutes}
            connection.execute(server_memory.insert().values(server | sample))
    event = fired(trigger)
    assert event["outcome"] == "roll_back"
    assert "the memory of version 2 grows: its model server 1 needed" in event["finding"]


@pytest.mark.parametrize("hours", [-1, 1])
def test_clock_that_is_set_changes_no_bake(watch, follow, serve, use_case, redeclare, monkeypatch, hours):
    def after_the_jump(connection):
        return now(connection) + timedelta(hours=hours) if passed else now(connection)

    passed = []
    now = rollout_status._now
    redeclare(bake=0.6, patience=60)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger")
    trigger = watch(stage="canary")
    monkeypatch.setattr(rollout_status, "_now", after_the_jump)
    timer = later(lambda: passed.append(True))
    began = time.monotonic()
    assert fired(trigger)["outcome"] == "promote"
    timer.join()
    assert passed, "it ended before the clock was set"
    assert time.monotonic() - began < 30


def test_wait_is_logged_with_what_is_missing(watch, follow, serve, use_case, redeclare, monkeypatch):
    log = Mock()
    monkeypatch.setattr(RolloutTrigger, "log", log)
    redeclare(patience=3_600)
    # The step ends once it has said what it waits for.
    log.info.side_effect = lambda *_: redeclare(patience=0.1)
    follow(use_case.name)
    serve(use_case.name, 1, "champion")
    serve(use_case.name, 2, "challenger", rows=[{}] * 13)
    event = fired(watch(stage="canary"))
    assert event["finding"].startswith("13 of the 20 requests that the analysis needs")
    messages = [call.args[0] % call.args[1:] for call in log.info.call_args_list]
    assert any("waits: 13 of the 20 requests" in message for message in messages)
