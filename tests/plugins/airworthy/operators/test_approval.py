from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time import task_runner

from airworthy.operators.approval import CandidateApprovalOperator, ReleaseApprovalOperator
from include.database import ledger
from include.errors import GateFailed, RolloutFailed
from include.release import rollout
from include.settings import settings

LEASE = {"use_case": "flight_delay", "version": 2, "epoch": 5, "actor": "ann"}
REQUESTED_BY_ANN = {"triggering_user_name": "ann"}


@pytest.fixture
def approve():
    """Return the operator in a DAG, with a task after it that its parent class would skip."""
    with DAG("deployment", schedule=None):
        operator = ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", lease=LEASE)
        operator >> EmptyOperator(task_id="canary_2")
    return operator


def answer(user, option="Approve"):
    who = {"id": user, "name": user} if user else None
    at = datetime(2026, 5, 3, tzinfo=UTC)
    return {"chosen_options": [option], "params_input": {}, "responded_at": at, "responded_by_user": who}


def told(database):
    with database.connect() as connection:
        found = ledger.ledger_entries(connection, "flight_delay")
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
        approve.execute_complete(context(), answer("ann"))  # an asset event set it off; the lease names ann
    assert [entry[0] for entry in told(database)] == ["rejected"]


QUESTION = {
    "gates": ["improvement_log_loss"],
    "page": "# flight_delay: gates",
    "champion": None,
    "attempt": "some_dag/manual/inputs",
}


def asked(question):
    with DAG("training", schedule=None):
        operator = CandidateApprovalOperator(
            task_id="approve", use_case="flight_delay", candidate={"run_id": "r1"}, question=question
        )
        operator >> EmptyOperator(task_id="register")
    return operator


def test_nobody_is_asked_when_all_is_decided(context, monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    assert asked(None).execute(context()) == []
    assert supervisor.asked == []


def test_an_undecided_candidate_waits_for_a_person_who_has_the_page_of_the_gates(context, monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    with pytest.raises(TaskAwaitingInput) as waiting:
        asked(QUESTION).execute(context())
    (sent,) = supervisor.asked
    assert (sent.body, sent.options, sent.defaults) == (QUESTION["page"], ["Approve", "Reject"], ["Reject"])
    assert waiting.value.timeout.days == 1


def test_an_approval_names_gate_and_person_and_is_recorded_once(database, context):
    for _ in range(2):
        (approval,) = asked(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert (approval["gate"], approval["by"]) == ("improvement_log_loss", "bob")
    assert told(database) == [
        ("approved", None, "bob", "improvement_log_loss undecided: bob approved"),
    ]


@pytest.mark.parametrize(("user", "why"), [("bob", "bob rejected it"), (None, "nobody answered in time")])
def test_a_rejected_candidate_fails_the_task_and_raises_the_next_bar(database, context, user, why):
    with pytest.raises(GateFailed, match=why):
        asked(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer(user, "Reject"))
    assert [entry[0] for entry in told(database)] == ["rejected"]
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, "flight_delay") == 1
        same = ledger.refusals_since_promotion(connection, "flight_delay", attempt=QUESTION["attempt"])
    assert same == 0


@pytest.mark.parametrize(("name", "allowed"), [("dev", True), ("uat", False), ("prod", False)])
def test_who_trained_it_may_not_approve_it_where_the_environment_asks_for_two(
    database, context, environment, name, allowed
):
    environment(name)
    if allowed:
        assert asked(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("ann"))
        return
    with pytest.raises(GateFailed, match="ann requested it and may not approve it"):
        asked(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("ann"))


def test_an_approval_of_a_comparison_with_a_champion_of_yesterday_counts_for_nothing(database, context):
    lease = rollout.begin(database, "flight_delay", 7, owner="another", actor="ann")
    rollout.promote(database, lease, reason="meanwhile", evidence={})
    with pytest.raises(GateFailed, match="not compared with version 7, the champion by now"):
        asked(QUESTION).execute_complete(context(), answer("bob"))
