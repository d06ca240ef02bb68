from __future__ import annotations

import uuid

import pytest
from sqlalchemy import insert

from include.database.ledger import Entry, append
from include.database.tables import live_state
from include.declarations import Fallback
from include.governance.doctor.facts import named_versions, read_models
from include.release import controls, rollout


@pytest.fixture
def name(database):
    """Return a use case whose version 1 is the champion and version 2 the challenger."""
    name = f"late_{uuid.uuid4().hex[:8]}"
    with database.begin() as connection:
        append(connection, Entry(name, "registered", "ann", "passed", 1, {"digest": "a"}))
    first = rollout.begin(database, name, 1, owner="run-1", actor="ann")
    rollout.promote(database, first, reason="first", evidence={})
    rollout.begin(database, name, 2, owner="run-2", actor="ann")
    return name


def reading(database, name):
    return next(model for model in read_models(database, None) if model.state.use_case == name)


def test_reading_has_state_and_ledger(database, name):
    model = reading(database, name)
    assert (model.state.champion, model.state.challenger, model.ledger_champion) == (1, 2, 1)
    assert model.entries == (("registered", 1), ("staged", 1), ("promoted", 1), ("staged", 2))
    assert model.registered == {1: "a"}
    assert (model.live, model.aliases, model.responses.behind) == (None, None, None)


def test_reading_has_the_report_of_the_controller(database, name):
    values = {"use_case": name, "generation": 3, "ready": True, "detail": {"route": {"champion": 1}}}
    with database.begin() as connection:
        connection.execute(insert(live_state).values(values))
    model = reading(database, name)
    assert (model.live["generation"], model.live["detail"]) == (3, values["detail"])
    assert 0 <= model.reported.total_seconds() < 60


def test_version_of_the_fallback_may_get_traffic(database, name):
    rollout.begin(database, name, 2, owner="run-2", actor="ann")
    controls.switch_off(database, name, Fallback(kind="baseline"), actor="ann", reason="wrong")
    assert named_versions(reading(database, name).state) == {1}
