"""DecideOperator, ServiceCheckOperator and ActOperator with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.governor import ActOperator, DecideOperator, ServiceCheckOperator
from include.database import ledger
from include.database.tables import access_log, monitoring_result
from include.declarations import RetrainPolicy, Slo
from include.errors import AttentionNeeded, PartitionMissing, ServiceUnavailable
from include.monitoring import service_check
from include.release import rollout, rollout_status
from tests.access_rows import access_row, mark_complete

FINE = {"outcome": "no_drift", "share": 0.0, "rows": 300}
DRIFTED = FINE | {"outcome": "drift", "share": 0.5}


def decide(champion, run, database, drift):
    figures = drift | {"end": rollout_status.database_time(database).isoformat()}
    return DecideOperator(task_id="decide", use_case=champion.name, drift=figures).execute(run)


def recorded(database, champion):
    with database.connect() as connection:
        results = connection.execute(select(monitoring_result)).mappings().all()
        entries = ledger.ledger_entries(connection, champion.name)
    return results, [entry for entry in entries if entry["event"] == "decided"]


def test_decision_to_do_nothing_has_evidence(champion, log_requests, database, context):
    log_requests()
    decision = decide(champion, context(), database, FINE)
    assert (decision["action"], decision["evidence"]["drift"]) == ("nothing", "no_drift")
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert datetime.now(UTC) < datetime.fromisoformat(decision["evidence"]["next_check"]) <= tomorrow
    assert json.loads(json.dumps(decision)) == decision
    (result,), (entry,) = recorded(database, champion)
    assert (result["decision"], result["version"]) == ("nothing", 1)
    assert result["figures"]["drift"]["outcome"] == "no_drift"
    assert entry["reason"].startswith("nothing: ")


def test_repeated_run_keeps_its_first_decision(champion, log_requests, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1, minimum_new_labels=1)}))
    run = context()
    first = decide(eager, run, database, FINE)
    assert decide(eager, run, database, DRIFTED) == first
    results, entries = recorded(database, champion)
    assert (len(results), len(entries)) == (1, 1)


def test_drift_with_new_labels_retrains(champion, log_requests, flown, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1, minimum_new_labels=1)}))
    rows = flown.read("arrivals", [date(2013, 1, 20)])
    rows = rows.assign(_airworthy_day="2013-01-21", flight_id=rows["flight_id"] + "-later")
    flown.publish("arrivals", rows, [date(2013, 1, 21)], metadata={})
    assert decide(eager, context(), database, DRIFTED)["action"] == "retrain"


def test_drift_without_new_labels_alerts(champion, log_requests, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1, minimum_new_labels=1)}))
    unwritten = "the drift report was not written: no space left"
    decision = decide(eager, context(), database, DRIFTED | {"report_problem": unwritten})
    assert (decision["action"], decision["evidence"]["new_labelled_rows"]) == ("alert", 0)
    assert decision["reason"].endswith(f"; {unwritten}")


def retraining_is_due(champion, flown, declare, log_requests):
    """Declare an eager policy, and publish requests without labels and labels of a new day."""
    log_requests()
    rows = flown.read("arrivals", [date(2013, 1, 20)])
    rows = rows.assign(_airworthy_day="2013-01-21", flight_id=rows["flight_id"] + "-later")
    flown.publish("arrivals", rows, [date(2013, 1, 21)], metadata={})
    return declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1, minimum_new_labels=1)}))


def test_past_windows_and_running_trainings_do_not_retrain(
    champion, log_requests, flown, database, declare, context
):
    eager = retraining_is_due(champion, flown, declare, log_requests)
    busy = context()
    busy["ti"].active_runs[f"{champion.name}_training"] = 1
    assert "waits or runs already" in decide(eager, busy, database, DRIFTED)["reason"]
    backfill = context({"run_id": "backfill", "run_type": "backfill"})
    decision = decide(eager, backfill, database, DRIFTED)
    assert (decision["action"], "it would be retrain" in decision["reason"]) == ("nothing", True)
    late = context({"run_id": "late", "run_after": busy["dag_run"].run_after - timedelta(milliseconds=1)})
    decision = decide(eager, late, database, DRIFTED)
    assert (decision["action"], "a newer window" in decision["reason"]) == ("nothing", True)
    newest = context({"run_id": "newest"})
    assert decide(eager, newest, database, DRIFTED)["action"] == "retrain"


@pytest.fixture
def away(monkeypatch):
    """Let MLflow be away."""

    def fail(*_):
        raise ServiceUnavailable("MLflow does not answer")

    monkeypatch.setattr(DecideOperator, "read_champion", fail)


@pytest.mark.usefixtures("away")
def test_decision_without_mlflow_names_it(champion, log_requests, database, context):
    log_requests()
    decision = decide(champion, context(), database, FINE)
    reason = "no signal fired; not known: quality and labels: MLflow does not answer"
    assert (decision["action"], decision["reason"]) == ("nothing", reason)
    (result,), (entry,) = recorded(database, champion)
    assert (result["version"], "MLflow does not answer" in entry["reason"]) == (1, True)
    assert result["figures"]["service"]["requests"] == 300


@pytest.mark.usefixtures("away")
def test_service_that_may_come_back_is_tried_again(champion, flown, database, context):
    run = context()
    run["ti"].max_tries = 3
    with pytest.raises(ServiceUnavailable):
        decide(champion, run, database, FINE)
    assert recorded(database, champion) == ([], [])


def test_decision_without_a_drift_check_judges_the_rest(champion, log_requests, flown, database, context):
    log_requests()
    unknown = {"outcome": "inconclusive", "reason": "the log is unreadable", "unknown": True}
    decision = decide(champion, context(), database, unknown)
    assert "not known: drift: the log is unreadable" in decision["reason"]
    assert recorded(database, champion)[0][0]["figures"]["quality"]["reason"] != "not measured"


def test_decision_without_any_data_says_so(champion, flown, database, context, monkeypatch):
    def fail(*_, **__):
        raise PartitionMissing("There is no partition")

    monkeypatch.setattr("include.monitoring.champion_check.read_window", fail)
    decide(champion, context(), database, FINE)
    quality = recorded(database, champion)[0][0]["figures"]["quality"]
    assert quality["reason"].startswith("no data: There is no partition")


def test_database_that_is_away_is_an_error(champion, flown, database, context, monkeypatch):
    def fail(*_):
        raise OperationalError("select", {}, Exception("away"))

    monkeypatch.setattr(DecideOperator, "read_champion", fail)
    with pytest.raises(OperationalError):
        decide(champion, context(), database, FINE)


def act(action):
    decision = {"action": action, "reason": "drift in 2 of 3 checks", "evidence": {"version": 2}}
    return ActOperator(task_id="act", use_case="flight_delay", decision=decision)


@pytest.mark.parametrize(
    ("action", "dag", "conf"),
    [
        ("retrain", "flight_delay_training", {"reason": "drift in 2 of 3 checks"}),
        ("roll_back", "flight_delay_rollback", {"reason": "drift in 2 of 3 checks", "version": 2}),
    ],
)
def test_decision_triggers_its_dag_once_per_run(context, action, dag, conf):
    operator = act(action)
    run = context()
    operator.render_template_fields(run | {"run_id": run["dag_run"].run_id})
    with pytest.raises(DagRunTriggerException) as triggered:
        operator.execute(run)
    assert (triggered.value.trigger_dag_id, triggered.value.conf) == (dag, conf)
    assert triggered.value.dag_run_id == "decided__manual__2013-07-01"
    assert triggered.value.skip_when_already_exists


def test_decision_to_do_nothing_is_skipped(context):
    operator = act("nothing")
    operator.decision["evidence"]["next_check"] = "2026-12-01T06:17+00:00"
    message = "Nothing to do: drift in 2 of 3 checks. The next check is at 2026-12-01T06:17"
    with pytest.raises(AirflowSkipException, match=message):
        operator.execute(context())


@pytest.mark.parametrize("action", ["alert", "freeze"])
def test_decision_for_a_person_fails_with_the_reason(context, action):
    with pytest.raises(AttentionNeeded, match=f"flight_delay: {action}: drift in 2 of 3 checks"):
        act(action).execute(context())


@pytest.mark.parametrize(
    "case",
    [(2, "scheduled", 1), (2, "backfill", 0), (-2, "scheduled", 0)],
    ids=["newest", "backfill", "late"],
)
def test_service_is_acted_on_in_the_newest_hour(use_case, database, declare, context, monkeypatch, case):
    max_age, run_type, n_actions = case
    monkeypatch.setattr(service_check, "MAX_AGE", timedelta(hours=max_age))
    name = declare(use_case.model_copy(update={"slo": Slo(minimum_requests=5)})).name
    lease = rollout.begin(database, name, 1, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})
    moment = rollout_status.database_time(database) + timedelta(minutes=10)
    failure = {"use_case": name, "received_at": moment - timedelta(minutes=9), "status": 503}
    with database.begin() as connection:
        connection.execute(access_log.insert(), [access_row(**failure) for _ in range(5)])
    mark_complete(database)
    run = context({"data_interval_end": moment, "run_type": run_type})
    actions = ServiceCheckOperator(task_id="check").execute(run)
    assert [action["decision"]["action"] for action in actions] == ["freeze"] * n_actions
    assert [action["use_case"] for action in actions] == [name] * n_actions
    # A repeated run keeps its decision.
    assert ServiceCheckOperator(task_id="check").execute(run) == actions
    with database.connect() as connection:
        assert bool(rollout.read_state(connection, name).frozen) == bool(n_actions)


def test_thawed_releases_need_no_action(context):
    with pytest.raises(AirflowSkipException):
        act("thaw").execute(context())
