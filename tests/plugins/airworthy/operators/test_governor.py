"""DecideOperator and ActOperator with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import json
from datetime import date

import pytest
from sqlalchemy import select

from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.governor import ActOperator, DecideOperator
from include.database import ledger
from include.database.tables import monitoring_result
from include.declarations import RetrainPolicy
from include.errors import AttentionNeeded
from include.release import rollout_status

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
    assert json.loads(json.dumps(decision)) == decision
    (result,), (entry,) = recorded(database, champion)
    assert (result["decision"], result["version"]) == ("nothing", 1)
    assert result["figures"]["drift"]["outcome"] == "no_drift"
    assert entry["reason"].startswith("nothing: ")


def test_repeated_run_keeps_its_first_decision(champion, log_requests, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1)}))
    run = context()
    first = decide(eager, run, database, FINE)
    assert decide(eager, run, database, DRIFTED) == first
    results, entries = recorded(database, champion)
    assert (len(results), len(entries)) == (1, 1)


def test_drift_with_new_labels_retrains(champion, log_requests, flown, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1)}))
    rows = flown.read("arrivals", [date(2013, 1, 20)])
    rows = rows.assign(_airworthy_day="2013-01-21", flight_id=rows["flight_id"] + "-later")
    flown.publish("arrivals", rows, [date(2013, 1, 21)], metadata={})
    assert decide(eager, context(), database, DRIFTED)["action"] == "retrain"


def test_drift_without_new_labels_alerts(champion, log_requests, database, declare, context):
    log_requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1)}))
    decision = decide(eager, context(), database, DRIFTED)
    assert (decision["action"], decision["evidence"]["new_labelled_rows"]) == ("alert", 0)


def act(action):
    decision = {"action": action, "reason": "drift in 2 of 3 checks"}
    return ActOperator(task_id="act", use_case="flight_delay", decision=decision)


@pytest.mark.parametrize(
    ("action", "dag", "conf"),
    [
        ("retrain", "flight_delay_training", {}),
        ("roll_back", "flight_delay_rollback", {"reason": "drift in 2 of 3 checks"}),
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
    with pytest.raises(AirflowSkipException, match="Nothing to do: drift in 2 of 3 checks"):
        act("nothing").execute(context())


@pytest.mark.parametrize("action", ["alert", "freeze"])
def test_decision_for_a_person_fails_with_the_reason(context, action):
    with pytest.raises(AttentionNeeded, match=f"flight_delay: {action}: drift in 2 of 3 checks"):
        act(action).execute(context())
