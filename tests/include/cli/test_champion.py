from __future__ import annotations

from datetime import UTC, datetime

import pytest

from include.database.ledger import Entry, append
from include.release import rollout

GATES = [
    {"gate": "threshold_roc_auc", "outcome": "pass", "severity": "block", "reason": "0.71", "figures": {}}
]


@pytest.fixture
def promoted(database, set_settings):
    """Return a moment at which version 1 of flight_delay is the champion."""
    with database.begin() as connection:
        append(connection, Entry("flight_delay", "registered", "the DAG", "", 1, {"gates": GATES}))
    lease = rollout.begin(database, "flight_delay", 1, owner="run-1", actor="nightly")
    with database.begin() as connection:
        append(connection, Entry("flight_delay", "approved", "ann", "the interval is narrow", 1))
    rollout.promote(database, lease, reason="every step passed", evidence={"run": "r1"})
    set_settings(database_url=database.url.render_as_string(hide_password=False))
    return datetime.now(UTC).isoformat()


def test_champion_is_shown_with_approvals_and_gates(promoted, airworthy):
    result = airworthy("champion", "flight_delay", "--at", promoted)
    assert result.code == 0
    for part in (
        "version 1, promoted",
        "approved by ann: the interval is narrow",
        "threshold_roc_auc (block)",
    ):
        assert part in result.out


def test_champion_as_json_has_version_gates_and_steps(promoted, airworthy):
    value = airworthy("champion", "flight_delay", "--json").value
    assert (value["version"], value["reason"], value["gates"]) == (1, "every step passed", GATES)
    assert [step["event"] for step in value["steps"]] == ["registered", "staged", "approved", "promoted"]


def test_moment_without_a_champion_ends_with_1(promoted, airworthy):
    result = airworthy("champion", "flight_delay", "--at", "2001-01-01T00:00:00Z")
    assert result.code == 1
    assert result.out == "flight_delay had no champion at 2001-01-01 00:00:00 UTC.\n"


def test_history_shows_the_roles_and_the_ledger(promoted, airworthy):
    result = airworthy("history", "flight_delay")
    assert result.code == 0
    assert result.out.startswith("champion 1, challenger None, previous None\n")
    value = airworthy("history", "flight_delay", "--limit", "2", "--json").value
    assert (value["champion"], [entry["event"] for entry in value["entries"]]) == (
        1,
        ["promoted", "approved"],
    )


def test_history_of_a_model_without_a_declaration_is_shown(promoted, database, airworthy):
    rollout.retire(database, "oops_model", actor="ann", reason="unused")
    assert "retired" in airworthy("history", "oops_model").out
    result = airworthy("history", "nothing")
    assert result.code == 1
    assert "There is no model nothing" in result.err
