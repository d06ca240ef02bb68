from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import create_autospec

import pytest
from sqlalchemy import insert

from include.database.tables import desired_state, monitoring_result
from include.governance.model_facts import ModelFacts, model_facts
from include.modeling.registry.registry import Registry

NOON = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def registry():
    """Return a double of the registry, in which version 2 has the importance of two features."""
    registry = create_autospec(Registry, instance=True)
    registry.search_versions.return_value = [{"version": 2}, {"version": 1}]
    registry.tags_of.return_value = {"airworthy.run_id": "abc"}
    features = [{"feature": "hour", "worse": 0.5}, {"feature": "temp", "worse": 0.1}]
    registry.read_file.return_value = json.dumps({"importance": features}).encode()
    return registry


def test_facts_of_a_champion_are_those_of_its_version(database, registry):
    figures = {"drift": {"outcome": "drift", "columns": {"hour": True, "temp": False}}}
    result = {"use_case": "late", "version": 1, "decision": "nothing", "figures": figures}
    window = {"window_start": NOON, "window_end": NOON}
    with database.begin() as connection:
        connection.execute(insert(desired_state).values(use_case="late", champion=1, challenger=2))
        connection.execute(insert(monitoring_result).values(result | window | {"run": "late/1"}))
        facts = model_facts(connection, registry, "late")
    assert (facts.champion, facts.challenger, facts.version) == (1, 2, 1)
    assert facts.importance == {"hour": 0.5, "temp": 0.1}
    assert (facts.drift, facts.drifted) == ("drift", {"hour": True, "temp": False})
    registry.tags_of.assert_called_once_with("late", 1)


def test_facts_without_a_champion_are_of_the_newest(database, registry):
    with database.connect() as connection:
        facts = model_facts(connection, registry, "late")
    assert (facts.champion, facts.version, facts.drift, facts.monitored_at) == (None, 2, "", None)


def test_facts_of_an_unknown_model_are_empty(database, registry):
    registry.search_versions.return_value = []
    with database.connect() as connection:
        assert model_facts(connection, registry, "late") == ModelFacts()
