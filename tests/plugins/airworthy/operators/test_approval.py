from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time import task_runner

from airworthy.operators.approval import ReleaseApprovalOperator
from include.errors import RolloutFailed
from include.release import ledger
from include.stack.settings import settings

HOLD = {"use_case": "flight_delay", "version": 2, "epoch": 5, "actor": "ann"}
REQUESTED_BY_ANN = {"triggering_user_name": "ann"}


@pytest.fixture
def approve():
    """Return the operator in a DAG, with a task after it that its parent class would skip."""
    with DAG("deployment", schedule=None):
        operator = ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", hold=HOLD)
        operator >> EmptyOperator(task_id="canary_2")
    return operator


def answer(user, option="Approve"):
    who = {"id": user, "name": user} if user else None
    at = datetime(2026, 5, 3, tzinfo=UTC)
    return {"chosen_options": [option], "params_input": {}, "responded_at": at, "responded_by_user": who}


def told(database):
    with database.connect() as connection:
        found = ledger.entries(connection, "flight_delay")
    return [(entry["event"], entry["version"], entry["actor"], entry["reason"]) for entry in found]


class Supervisor:
    """Stands in for Airflow's supervisor, which a task tells what it wants to ask."""

    def __init__(self):
        self.asked = []

    def send(self, msg):
        self.asked.append(msg)


@pytest.fixture
def environment(monkeypatch):
    def choose(name):
        monkeypatch.setenv("AIRWORTHY_ENV", name)
        settings.cache_clear()

    return choose


def test_dev_asks_nobody(approve, environment, context):
    environment("dev")
    assert approve.execute(context()) == "dev asks for no approval"


@pytest.mark.parametrize("name", ["uat", "prod"])
def test_where_the_rollout_wants_it_a_person_is_asked(approve, environment, context, monkeypatch, name):
    environment(name)
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    with pytest.raises(TaskAwaitingInput) as waiting:
        approve.execute(context())
    assert waiting.value.method_name == "execute_complete"
    (asked,) = supervisor.asked
    assert asked.options == ["Approve", "Reject"]
    assert "flight_delay" in asked.subject


def test_an_approval_lets_the_rollout_go_on_and_is_recorded(approve, database, context):
    found = approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert found["chosen_options"] == ["Approve"]
    assert told(database) == [("approved", 2, "bob", "bob decided")]


def test_an_approval_that_is_recorded_again_stands_there_once(approve, database, context):
    for _ in range(2):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert len(told(database)) == 1


def test_who_requested_it_may_not_approve_it(approve, database, context):
    with pytest.raises(RolloutFailed, match="ann requested it and may not approve it"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("ann"))
    assert [entry[:3] for entry in told(database)] == [("rejected", 2, "ann")]


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_a_rejection_ends_the_rollout_and_is_recorded(approve, database, context, user):
    with pytest.raises(RolloutFailed, match=f"version 2 was not approved: {user} decided"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer(user, "Reject"))
    assert told(database) == [("rejected", 2, user, f"{user} decided")]


def test_who_asked_for_the_training_may_not_approve_the_deployment_that_followed(approve, database, context):
    with pytest.raises(RolloutFailed, match="ann requested it"):
        approve.execute_complete(context(), answer("ann"))  # an asset event set it off; the hold names ann
    assert [entry[0] for entry in told(database)] == ["rejected"]
