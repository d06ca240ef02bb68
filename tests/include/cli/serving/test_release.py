from __future__ import annotations

import pytest
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import ledger_entries
from include.database.tables import live_state
from include.release import rollout

REASON = ("--reason", "predicts nonsense")


@pytest.fixture
def released(database, set_settings, monkeypatch):
    """Return the engine of a database in which version 1 of flight_delay is the champion."""
    lease = rollout.begin(database, "flight_delay", 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason="every step passed", evidence={})
    set_settings(database_url=database.url.render_as_string(hide_password=False))
    monkeypatch.setattr("include.cli.serving.release.LIVE_TIMEOUT_S", 0.2)
    return database


def report_live(database, generation):
    values = {"use_case": "flight_delay", "generation": generation, "ready": True, "detail": {}}
    with database.begin() as connection:
        connection.execute(insert(live_state).values(values))


def state(database):
    with database.connect() as connection:
        return rollout.read_state(connection, "flight_delay")


def test_switching_off_says_what_callers_get(released, airworthy):
    report_live(released, state(released).generation + 1)
    result = airworthy("switch", "off", "flight_delay", "--fallback", "constant:0.2", *REASON)
    assert result.code == 0
    assert result.out.startswith("flight_delay is switched off; its callers get constant:0.2 (")
    assert state(released).fallback == {"kind": "constant", "value": 0.2, "reason": "predicts nonsense"}


def test_switching_off_without_a_controller_ends_with_1(released, airworthy):
    result = airworthy("switch", "off", "flight_delay", *REASON, "--json")
    assert result.code == 1
    assert (result.value["live"], result.value["fallback"]["kind"]) == (False, "unavailable")
    assert airworthy("switch", "on", "flight_delay", *REASON).code == 1
    assert state(released).fallback is None


@pytest.mark.parametrize("fallback", ["nothing", "constant:2", "constant:[0.1]"])
def test_impossible_fallback_is_refused(released, airworthy, fallback):
    result = airworthy("switch", "off", "flight_delay", "--fallback", fallback, *REASON)
    assert result.code == 2
    assert state(released).fallback is None


def test_freeze_and_lift_are_written_to_the_ledger(released, airworthy):
    assert (
        airworthy("release", "freeze", "flight_delay", *REASON).out
        == "Releases of flight_delay are frozen.\n"
    )
    assert airworthy("release", "freeze", "flight_delay", *REASON).out.endswith("already.\n")
    assert airworthy("release", "lift", "flight_delay", *REASON).code == 0
    refused = airworthy("release", "lift", "flight_delay", *REASON)
    assert (refused.code, "not frozen" in refused.err) == (1, True)
    with released.connect() as connection:
        events = [entry["event"] for entry in ledger_entries(connection, "flight_delay", limit=2)]
    assert events == ["lifted", "frozen"]


@pytest.mark.parametrize("command", ["pause", "resume", "skip", "abort"])
def test_without_a_rollout_steering_fails(released, airworthy, command):
    result = airworthy("release", command, "flight_delay", *REASON)
    assert result.code == 1
    assert "No version of flight_delay is being rolled out." in result.err


def test_rollout_is_paused_resumed_skipped_and_aborted(released, airworthy):
    lease = rollout.begin(released, "flight_delay", 2, owner="run-2", actor="nightly")
    rollout.shift(released, lease, weight=200, shadow_share=0.0, reason="step", key="step")
    assert airworthy("release", "pause", "flight_delay", *REASON).code == 0
    assert state(released).paused
    assert airworthy("release", "resume", "flight_delay", *REASON).code == 0
    assert airworthy("release", "skip", "flight_delay", *REASON).code == 0
    assert state(released).skipped == state(released).generation
    report_live(released, state(released).generation + 1)
    assert airworthy("release", "abort", "flight_delay", *REASON).code == 0
    assert state(released).challenger is None


@pytest.fixture
def rolling(database, set_settings):
    """Return the engine of a database in which version 2 of flight_delay is rolled out over version 1."""
    lease = rollout.begin(database, "flight_delay", 1, owner="run-1", actor="nightly")
    rollout.promote(database, lease, reason="every step passed", evidence={})
    rollout.begin(database, "flight_delay", 2, owner="run-2", actor="nightly")
    set_settings(database_url=database.url.render_as_string(hide_password=False))
    return database


def test_unlock_ends_the_rollout_of_a_lost_run(rolling, airworthy):
    result = airworthy("release", "unlock", "flight_delay", "--reason", "its run is gone")
    assert result.code == 0
    assert "version 2 of flight_delay by run-2 has ended; version 1 gets" in " ".join(result.out.split())
    with rolling.connect() as connection:
        assert rollout.read_state(connection, "flight_delay").challenger is None


def test_unlock_without_a_rollout_ends_with_1(rolling, airworthy):
    unlock = ("release", "unlock", "flight_delay", "--reason", "its run is gone", "--json")
    assert airworthy(*unlock).value == {"use_case": "flight_delay", "version": 2, "owner": "run-2"}
    result = airworthy(*unlock)
    assert result.code == 1
    assert "nothing to unlock" in result.err
