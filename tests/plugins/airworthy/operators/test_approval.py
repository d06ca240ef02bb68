from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskAwaitingInput
from airflow.sdk.execution_time import task_runner

from airworthy.operators.approval import CandidateApprovalOperator, ReleaseApprovalOperator
from include.catalog import catalog
from include.database import ledger
from include.errors import GateFailed, RolloutFailed
from include.release import rollout
from include.settings import settings
from tests.plugins.airworthy.operators.rollout_fixtures import certified, lease, second

__all__ = ["certified", "lease", "second"]

LEASE = {"use_case": "flight_delay", "version": 2, "epoch": 5, "actor": "ann"}
REQUESTED_BY_ANN = {"triggering_user_name": "ann"}


@pytest.fixture
def approve():
    """Return the operator in a DAG, with a downstream task that its parent class would skip."""
    with DAG("deployment", schedule=None):
        operator = ReleaseApprovalOperator(task_id="approve", use_case="flight_delay", lease=LEASE)
        operator >> EmptyOperator(task_id="canary_2")
    return operator


def answer(user, option="Approve", reason=None):
    who = {"id": user, "name": user} if user else None
    at = datetime(2026, 5, 3, tzinfo=UTC)
    form = {"reason": reason} if reason is not None else {}
    return {"chosen_options": [option], "params_input": form, "responded_at": at, "responded_by_user": who}


def read_ledger(database):
    with database.connect() as connection:
        entries = ledger.ledger_entries(connection, "flight_delay")
    return [(entry["event"], entry["version"], entry["actor"], entry["reason"]) for entry in entries]


class Supervisor:
    """Double of Airflow's supervisor that records the messages of a task."""

    def __init__(self):
        self.messages = []

    def send(self, msg):
        self.messages.append(msg)


@pytest.fixture
def environment(monkeypatch):
    def choose(name):
        monkeypatch.setenv("AIRWORTHY_ENV", name)
        settings.cache_clear()

    return choose


def test_dev_requires_no_approval(approve, environment, context):
    environment("dev")
    assert approve.execute(context()) == "dev requires no approval"


class ShadowResult:
    """Double of a task instance that returns the XCom of the task `shadow`."""

    def __init__(self, run, figures):
        self.__dict__.update(vars(run["ti"]))
        self.figures = figures

    def xcom_pull(self, task_ids):
        return self.figures if task_ids == "shadow" else None


@pytest.mark.parametrize("name", ["uat", "prod"])
def test_an_approval_is_requested_where_the_rollout_declares_it(
    champion, lease, second, declare, environment, monkeypatch, name
):
    rollout = champion.rollout.model_copy(update={"approvers": ("bob",)})
    declare(champion.model_copy(update={"rollout": rollout}))
    environment(name)
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    operator = ReleaseApprovalOperator(task_id="approve", use_case=champion.name, lease=lease)
    figures = {"stage": "shadow", "pairs": 40, "shadow": {"requests": 40, "p50": 1.25}}
    with pytest.raises(TaskAwaitingInput) as waiting:
        operator.execute(second | {"ti": ShadowResult(second, figures)})
    assert waiting.value.method_name == "execute_complete"
    assert waiting.value.timeout == rollout.approval_timeout
    (request,) = [message for message in supervisor.messages if hasattr(message, "assigned_users")]
    assert request.options == ["Approve", "Reject"]
    assert request.defaults == ["Reject"]
    assert [user.id for user in request.assigned_users] == ["bob"]
    assert request.params["reason"]["schema"]["type"] == ["null", "string"]
    assert champion.name in request.subject
    for part in ("| shadow.p50 | 1.25 |", "| signed with the key |", champion.description):
        assert part in request.body


def test_no_answer_in_time_rejects_the_release(approve, database, context):
    with pytest.raises(RolloutFailed, match="no answer in time"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer(None, "Reject"))
    assert [entry[0] for entry in read_ledger(database)] == ["rejected"]


def test_another_person_than_the_approvers_may_not_approve(approve, database, context, declare):
    use_case = catalog().use_cases["flight_delay"]
    rollout = use_case.rollout.model_copy(update={"approvers": ("carl",)})
    declare(use_case.model_copy(update={"rollout": rollout}))
    with pytest.raises(RolloutFailed, match="bob is not among the approvers carl"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    approve.lease = LEASE | {"epoch": 6}
    approve.execute_complete(context(REQUESTED_BY_ANN), answer("carl"))
    assert [entry[0] for entry in read_ledger(database)] == ["approved", "rejected"]


def test_an_approval_is_recorded(approve, database, context):
    result = approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert result["chosen_options"] == ["Approve"]
    assert read_ledger(database) == [("approved", 2, "bob", "bob approved it")]


def test_the_reason_of_the_form_is_recorded(approve, database, context):
    approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob", reason=" faster "))
    assert read_ledger(database) == [("approved", 2, "bob", "bob approved it: faster")]
    approve.lease = LEASE | {"epoch": 6}
    with pytest.raises(RolloutFailed, match="bob rejected it: too slow"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob", "Reject", "too slow"))


def test_a_repeated_approval_is_recorded_once(approve, database, context):
    for _ in range(2):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert len(read_ledger(database)) == 1


def test_the_requester_may_not_approve_the_release(approve, database, context):
    with pytest.raises(RolloutFailed, match="ann requested it and may not approve it"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer("ann"))
    assert [entry[:3] for entry in read_ledger(database)] == [("rejected", 2, "ann")]


@pytest.mark.parametrize("user", ["ann", "bob"])
def test_a_rejection_fails_the_rollout_and_is_recorded(approve, database, context, user):
    with pytest.raises(RolloutFailed, match=f"not approved: {user} rejected it without a reason"):
        approve.execute_complete(context(REQUESTED_BY_ANN), answer(user, "Reject"))
    assert read_ledger(database) == [("rejected", 2, user, f"{user} rejected it without a reason")]


def test_the_trainer_may_not_approve_the_following_release(approve, database, context):
    with pytest.raises(RolloutFailed, match="ann requested it"):
        # The run was triggered by an asset event; the lease names ann.
        approve.execute_complete(context(), answer("ann"))
    assert [entry[0] for entry in read_ledger(database)] == ["rejected"]


QUESTION = {
    "gates": ["improvement_log_loss"],
    "page": "# flight_delay: gates",
    "champion": None,
    "attempt": "some_dag/manual/inputs",
}


def candidate_approval(question):
    with DAG("training", schedule=None):
        operator = CandidateApprovalOperator(
            task_id="approve", use_case="flight_delay", candidate={"run_id": "r1"}, question=question
        )
        operator >> EmptyOperator(task_id="register")
    return operator


def test_without_an_inconclusive_gate_nothing_is_requested(context, monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    assert candidate_approval(None).execute(context()) == []
    assert supervisor.messages == []


def test_the_request_for_a_candidate_contains_the_gate_report(context, monkeypatch):
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    with pytest.raises(TaskAwaitingInput) as waiting:
        candidate_approval(QUESTION).execute(context())
    (sent,) = supervisor.messages
    assert (sent.body, sent.options, sent.defaults) == (QUESTION["page"], ["Approve", "Reject"], ["Reject"])
    assert waiting.value.timeout.days == 1


def test_an_approval_of_a_candidate_names_gate_and_person(database, context):
    for _ in range(2):
        (approval,) = candidate_approval(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("bob"))
    assert (approval["gate"], approval["by"]) == ("improvement_log_loss", "bob")
    assert read_ledger(database) == [
        ("approved", None, "bob", "improvement_log_loss inconclusive: bob approved it"),
    ]


@pytest.mark.parametrize(
    ("user", "reason"), [("bob", "bob rejected it"), (None, "there was no answer in time")]
)
def test_a_rejected_candidate_fails_and_counts_as_refusal(database, context, user, reason):
    with pytest.raises(GateFailed, match=reason):
        candidate_approval(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer(user, "Reject"))
    assert [entry[0] for entry in read_ledger(database)] == ["rejected"]
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, "flight_delay") == 1
        same = ledger.refusals_since_promotion(connection, "flight_delay", attempt=QUESTION["attempt"])
    assert same == 0


@pytest.mark.parametrize(("name", "allowed"), [("dev", True), ("uat", False), ("prod", False)])
def test_the_trainer_may_approve_only_where_one_person_suffices(
    database, context, environment, name, allowed
):
    environment(name)
    if allowed:
        assert candidate_approval(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("ann"))
        return
    with pytest.raises(GateFailed, match="ann requested it and may not approve it"):
        candidate_approval(QUESTION).execute_complete(context(REQUESTED_BY_ANN), answer("ann"))


def test_an_approval_against_an_earlier_champion_is_refused(database, context):
    lease = rollout.begin(database, "flight_delay", 7, owner="another", actor="ann")
    rollout.promote(database, lease, reason="meanwhile", evidence={})
    with pytest.raises(GateFailed, match="not compared with version 7, which is the champion now"):
        candidate_approval(QUESTION).execute_complete(context(), answer("bob"))
