from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from include.database.ledger import Entry, append
from include.release import rollout
from include.release.champion_history import MAX_STEPS, champion_record, champions

GATES = [
    {"gate": "threshold_roc_auc", "outcome": "pass", "severity": "block", "reason": "0.71", "figures": {}}
]


def write(engine, use_case, event, version, actor="the DAG", reason="", **evidence):
    with engine.begin() as connection:
        append(connection, Entry(use_case, event, actor, reason, version, evidence))


@pytest.fixture
def promotions(database):
    """Return a use case whose version 1, then 2 became champion, and a moment of each as champion."""
    name = "flight_delay"
    write(database, name, "registered", 1, gates=GATES)
    lease = rollout.begin(database, name, 1, owner="run-1", actor="nightly")
    write(database, name, "approved", 1, actor="ann", reason="the interval is narrow")
    rollout.promote(database, lease, reason="every step passed", evidence={"run": "r1"})
    first = datetime.now(UTC)
    write(database, name, "registered", 2)
    lease = rollout.begin(database, name, 2, owner="run-2", actor="nightly")
    rollout.shift(database, lease, weight=10_000, shadow_share=0, reason="100 %", key=f"{name}/100")
    rollout.promote(database, lease, reason="better", evidence={})
    return name, first, datetime.now(UTC) + timedelta(seconds=1)


def test_champion_record_has_gates_approvals_and_steps(database, promotions):
    name, first, _ = promotions
    with database.connect() as connection:
        record = champion_record(connection, name, first)
    assert (record.made["version"], record.made["reason"]) == (1, "every step passed")
    assert [step["event"] for step in record.steps] == ["registered", "staged", "approved"]
    assert record.gates == GATES
    assert [(entry["actor"], entry["reason"]) for entry in record.approvals] == [
        ("ann", "the interval is narrow")
    ]


def test_later_moment_has_the_later_champion(database, promotions):
    name, first, second = promotions
    with database.connect() as connection:
        assert champion_record(connection, name, second).made["version"] == 2
        assert champion_record(connection, name, first - timedelta(days=1)) is None
        assert [entry["version"] for entry in champions(connection, name, limit=5)] == [2, 1]
        assert len(champions(connection, name, limit=1)) == 1


def test_long_history_keeps_the_newest_steps(database):
    name = f"long_{uuid.uuid4().hex[:8]}"
    for number in range(MAX_STEPS + 5):
        write(database, name, "decided", 1, reason=str(number))
    write(database, name, "promoted", 1)
    with database.connect() as connection:
        steps = champion_record(connection, name, datetime.now(UTC) + timedelta(seconds=1)).steps
    assert [step["reason"] for step in (steps[0], steps[-1])] == ["5", str(MAX_STEPS + 4)]


def test_champion_record_without_a_registration_has_no_gates(database):
    name = f"unregistered_{uuid.uuid4().hex[:8]}"
    write(database, name, "promoted", 1)
    with database.connect() as connection:
        record = champion_record(connection, name, datetime.now(UTC) + timedelta(seconds=1))
    assert (record.gates, record.approvals, record.steps) == ([], [], ())


def test_champion_record_is_written_as_json(database, promotions):
    name, first, _ = promotions
    with database.connect() as connection:
        values = champion_record(connection, name, first).as_json()
    assert json.loads(json.dumps(values)) == values
    assert (values["version"], values["by"], values["reason"]) == (1, "nightly", "every step passed")
    assert values["since"] == values["steps"][-1]["at"]
    assert [step["event"] for step in values["steps"]] == ["registered", "staged", "approved", "promoted"]
    assert [entry["actor"] for entry in values["approvals"]] == ["ann"]
