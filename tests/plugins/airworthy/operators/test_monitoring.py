"""Operators of monitoring and batch scoring with PostgreSQL, MLflow and a Delta lake."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from sqlalchemy import select

from airflow.providers.common.compat.sdk import DagRunTriggerException
from airflow.sdk.exceptions import AirflowSkipException

from airworthy.links import DriftReportLink
from airworthy.operators.drift import DriftDetectionOperator
from airworthy.operators.governor import ActOperator, DecideOperator
from airworthy.operators.scoring import BatchScoringOperator
from include.database import ledger
from include.database.tables import monitoring_result
from include.declarations import RetrainPolicy
from include.errors import AttentionNeeded, PartitionMissing
from include.release import rollout_status
from include.storage import reports
from include.storage.staging import Staging
from tests.plugins.conftest import FEATURES

FINE = {"outcome": "no_drift", "share": 0.0, "rows": 300}
DRIFTED = FINE | {"outcome": "drift", "share": 0.5}


@pytest.fixture
def requests(champion, flown, serve, database):
    """Return a function that logs 300 requests of an hour ago, made of the champion's training rows."""

    def log(**changes):
        rows = flown.read("flight_features", columns=list(FEATURES)).sample(300, random_state=0)
        sent = json.loads(rows.assign(**changes).to_json(orient="records"))
        moment = rollout_status.database_time(database) - timedelta(hours=1)
        serve(champion.name, 1, "champion", rows=sent, received_at=moment)

    return log


def detect(champion, run):
    operator = DriftDetectionOperator(task_id="detect_drift", use_case=champion.name)
    return operator, operator.execute(run)


def test_requests_like_the_training_rows_are_no_drift(champion, requests, context):
    requests()
    run = context()
    _, outcome = detect(champion, run)
    figures = run["ti"].pushed["figures"]
    assert outcome == figures["outcome"] == "no_drift"
    assert (figures["rows"], figures["source"]) == (300, "requests")
    assert set(figures["columns"]) == set(FEATURES)


def test_drift_names_its_columns_without_failing(champion, requests, context):
    requests(distance=4_000.0, hour=3)
    run = context()
    _, outcome = detect(champion, run)
    drifted = {name for name, drifted in run["ti"].pushed["figures"]["columns"].items() if drifted}
    assert outcome == "drift"
    assert drifted == {"distance", "hour"}


@pytest.mark.parametrize(
    ("run_id", "page"),
    [
        ("scheduled__2013-07-01T06:00:00+00:00", "run_scheduled__2013-07-01T06_00_00_00_00.html"),
        ("~ann's.try", "run__ann_s_try.html"),
    ],
)
def test_drift_report_is_a_page_with_a_link(champion, requests, lake, context, run_id, page):
    requests()
    operator, _ = detect(champion, context({"run_id": run_id}))
    path = f"drift/{champion.name}/{page}"
    assert "<html" in reports.read_report(lake.uri, {}, path)
    assert DriftReportLink().get_link(operator, ti_key=None).endswith(f"/airworthy/reports/{path}")


def test_drift_of_partitions_is_measured_without_requests(champion, flown, context):
    run = context()
    detect(champion, run)
    assert run["ti"].pushed["figures"]["source"] == "partitions"


def test_monitoring_without_a_champion_is_skipped(certified, flown, context):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        detect(certified, context())


def decide(champion, run, database, drift):
    figures = drift | {"end": rollout_status.database_time(database).isoformat()}
    return DecideOperator(task_id="decide", use_case=champion.name, drift=figures).execute(run)


def recorded(database, champion):
    with database.connect() as connection:
        results = connection.execute(select(monitoring_result)).mappings().all()
        entries = ledger.ledger_entries(connection, champion.name)
    return results, [entry for entry in entries if entry["event"] == "decided"]


def test_decision_to_do_nothing_has_evidence(champion, requests, database, context):
    requests()
    decision = decide(champion, context(), database, FINE)
    assert (decision["action"], decision["evidence"]["drift"]) == ("nothing", "no_drift")
    assert json.loads(json.dumps(decision)) == decision
    (result,), (entry,) = recorded(database, champion)
    assert (result["decision"], result["version"]) == ("nothing", 1)
    assert result["figures"]["drift"]["outcome"] == "no_drift"
    assert entry["reason"].startswith("nothing: ")


def test_repeated_run_keeps_its_first_decision(champion, requests, database, declare, context):
    requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1)}))
    run = context()
    first = decide(eager, run, database, FINE)
    assert decide(eager, run, database, DRIFTED) == first
    results, entries = recorded(database, champion)
    assert (len(results), len(entries)) == (1, 1)


def test_drift_with_new_labels_retrains(champion, requests, flown, database, declare, context):
    requests()
    eager = declare(champion.model_copy(update={"retrain": RetrainPolicy(k=1, n=1)}))
    rows = flown.read("arrivals", [date(2013, 1, 20)])
    rows = rows.assign(day="2013-01-21", flight_id=rows["flight_id"] + "-later")
    flown.publish("arrivals", rows, [date(2013, 1, 21)], metadata={})
    assert decide(eager, context(), database, DRIFTED)["action"] == "retrain"


def test_drift_without_new_labels_alerts(champion, requests, database, declare, context):
    requests()
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


def score(use_case, run):
    return BatchScoringOperator(task_id="score", use_case=use_case.name).execute(run)


def test_partition_is_scored_with_the_champion(champion, flown, context):
    run = context({"partition_key": "2013-01-05"})
    scored = Staging(flown.uri).read(score(champion, run))
    assert set(scored.columns) >= {"flight_id", "day", "prediction", "version"}
    assert (len(scored), set(scored["version"]), set(scored["day"])) == (40, {1}, {"2013-01-05"})
    assert run["ti"].pushed["figures"]["rows"] == 40
    assert scored["prediction"].between(0, 1).all()


def test_partition_scored_again_has_the_same_predictions(champion, flown, context):
    staging = Staging(flown.uri)
    first = staging.read(score(champion, context({"partition_key": "2013-01-05"})))
    second = staging.read(score(champion, context({"partition_key": "2013-01-05"})))
    assert first.equals(second)


def test_scoring_without_a_champion_is_skipped(certified, flown, context):
    with pytest.raises(AirflowSkipException, match="no champion yet"):
        score(certified, context({"partition_key": "2013-01-05"}))


def test_partition_without_features_cannot_be_scored(champion, flown, context):
    with pytest.raises(PartitionMissing, match="2013-12-24"):
        score(champion, context({"partition_key": "2013-12-24"}))
