"""From a snapshot to a nominated version, each task by a new operator, as Airflow runs them."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import assets
from airworthy.links import MlflowRunLink, ModelCardLink
from airworthy.operators.candidate_event import AnnounceCandidateOperator
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from include.data.features import leakage_check
from include.data.features.leakage_check import Leak
from include.data.validation import gate_results as checks
from include.database import ledger
from include.declarations import Improvement, Leakage, Threshold
from include.errors import GateFailed, PartitionMissing
from include.modeling.registration import versions
from include.release import rollout
from include.settings import settings
from tests.plugins.conftest import small

NIGHTLY = {"run_type": "scheduled", "run_id": "scheduled__2013-07-01T02:00:00"}


def take(use_case, run, as_of=""):
    return TakeSnapshotOperator(task_id="snapshot", use_case=use_case.name, as_of=as_of).execute(run)


def train(use_case, run, snapshot):
    operator = TrainModelOperator(task_id="train", use_case=use_case.name, snapshot=snapshot)
    return operator.execute(run)


def evaluate(use_case, run, **made):
    return EvaluateModelOperator(task_id="evaluate", use_case=use_case.name, **made).execute(run)


def gate(use_case, run, **made):
    return ModelGateOperator(task_id="gate", use_case=use_case.name, **made).execute(run)


def register(use_case, run, **made):
    return RegisterModelOperator(task_id="register", use_case=use_case.name, **made).execute(run)


def made_by(use_case, run):
    """Run the tasks up to the evaluation, and return what they hand on."""
    snapshot = take(use_case, run)
    made = {"snapshot": snapshot, "candidate": train(use_case, run, snapshot)}
    return made | {"evidence": evaluate(use_case, run, **made)}


def events(database, use_case):
    with database.connect() as connection:
        return ledger.ledger_entries(connection, use_case.name)


def promote(database, use_case, version):
    lease = rollout.begin(database, use_case.name, version, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})


def test_the_whole_way_makes_one_run_and_one_version_however_often(
    flown, database, registry, use_case, context
):
    versions, runs = [], []
    for attempt in (1, 2):
        run = context()
        run["ti"].try_number = attempt
        made = made_by(use_case, run)
        gate(use_case, run, **made)
        versions.append(register(use_case, run, **made))
        runs.append(made["candidate"]["run_id"])
    assert versions == [1, 1]
    assert runs[0] == runs[1]
    run = registry._client.get_run(runs[0])
    assert run.info.status == "FINISHED"
    assert run.data.tags["airworthy.dag"] == "some_dag"
    assert run.data.tags["airworthy.try"] == "2"
    assert [entry["event"] for entry in events(database, use_case)] == ["registered"]
    assert len(registry._client.search_runs([run.info.experiment_id])) == 1


def test_what_travels_between_the_tasks_is_json(flown, database, registry, use_case, context):
    made = made_by(use_case, context())
    assert json.loads(json.dumps(made)) == made


def test_a_refused_candidate_stands_in_the_ledger_once_with_every_verdict(
    flown, database, registry, use_case, declare, context
):
    demanding = declare(small(use_case.name, gates=(Threshold(metric="roc_auc", minimum=0.999),)))
    run = context({"triggering_user_name": "ann"})
    made = made_by(demanding, run)
    for _ in range(2):
        with pytest.raises(GateFailed, match=r"roc_auc 0\.\d+ is under the minimum 0\.999"):
            gate(demanding, run, **made)
    said = {verdict["gate"]: verdict["outcome"] for verdict in run["ti"].pushed["verdicts"]}
    assert said["threshold_roc_auc"] == "fail"
    assert said["overlap"] == "pass"
    (entry,) = events(database, demanding)
    assert (entry["event"], entry["actor"]) == ("refused", "ann")
    assert entry["evidence"]["run_id"] == made["candidate"]["run_id"]
    with pytest.raises(GateFailed):
        register(demanding, run, **made)
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, demanding.name) == 1
    cleared = made_by(demanding, context({"triggering_user_name": "ann", "clear_number": 1}))
    assert cleared["candidate"]["run_id"] != made["candidate"]["run_id"]
    assert cleared["evidence"]["refusals"] == 0  # the same again, which supersedes its own refusal


def test_what_leaks_by_its_views_own_check_is_refused_until_that_has_passed(
    flown, database, registry, use_case, declare, context
):
    careful = declare(small(use_case.name, gates=(Leakage(maximum=0.99),)))
    rows, run = flown.read("flight_features"), context()
    flown.publish("flight_features", rows, flown.days("flight_features"), metadata={"run": "f/1", "try": "1"})
    made = made_by(careful, run)
    assert made["evidence"]["leakage"]["unchecked"] == ["2013-01-01..2013-01-20"]
    assert gate(careful, run, **made)["gates"] == ["leakage"]
    leak = Leak("hour", "flights", "UA 1", "9", "missing", "06:00", "08:00", 12)
    checks.record_gate_result(
        database, "flight_features", "f/1/1", "bulk", leakage_check.LeakageCheck((leak,), 9).results()
    )
    made["evidence"] = evaluate(careful, run, snapshot=made["snapshot"], candidate=made["candidate"])
    with pytest.raises(GateFailed, match=r"leakage: fail: flight_features did not pass .* hour leaks from"):
        gate(careful, run, **made)
    checks.record_gate_result(
        database, "flight_features", "f/1/2", "bulk", leakage_check.LeakageCheck((), 9).results()
    )
    made["evidence"] = evaluate(careful, run, snapshot=made["snapshot"], candidate=made["candidate"])
    assert gate(careful, run, **made) is None


def undecided(use_case, declare):
    """Return the use case with a gate that so few test days can never decide."""
    return declare(small(use_case.name, gates=(Improvement(metric="roc_auc"),)))


def test_an_undecided_candidate_is_registered_with_an_approval_only(
    flown, database, registry, use_case, declare, context
):
    first = context()
    promote(database, use_case, register(use_case, first, **made_by(use_case, first)))
    challenged = undecided(use_case, declare)
    run = context({"run_id": "manual__2"})
    made = made_by(challenged, run)
    question = gate(challenged, run, **made)
    assert question["gates"] == ["improvement_roc_auc"]
    assert "4 test days are too few" in question["page"]
    for approvals in (None, [], [{"gate": "another", "by": "bob"}]):
        with pytest.raises(GateFailed, match="improvement_roc_auc: inconclusive"):
            register(challenged, run, approvals=approvals, **made)
    said = [{"gate": "improvement_roc_auc", "by": "bob", "at": "2013-03-01", "reason": "bob approved"}]
    version = register(challenged, run, approvals=said, **made)
    certificate = versions.verify_version(
        registry, challenged.name, version, trusted=settings().signing_key.parent / "trusted"
    )
    assert list(certificate.approvals) == said


def test_in_a_backfill_nobody_is_asked_and_the_refusal_raises_no_bar(
    flown, database, registry, use_case, declare, context
):
    first = context()
    promote(database, use_case, register(use_case, first, **made_by(use_case, first)))
    challenged = undecided(use_case, declare)
    run = context({"run_id": "backfill__1", "run_type": "backfill"})
    made = made_by(challenged, run)
    with pytest.raises(GateFailed, match="inconclusive"):
        gate(challenged, run, **made)
    assert events(database, challenged)[0]["event"] == "refused"
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, challenged.name) == 0


def test_a_challenger_is_measured_against_the_champion(flown, database, registry, use_case, context):
    first, second = context(), context({"run_id": "manual__2"})
    version = register(use_case, first, **made_by(use_case, first))
    promote(database, use_case, version)
    evidence = made_by(use_case, second)["evidence"]
    assert evidence["champion"]["version"] == version
    assert evidence["champion"]["metrics"] == pytest.approx(evidence["metrics"]["test"])


def test_the_link_leads_to_the_mlflow_run(flown, database, registry, use_case, context):
    run = context()
    operator = TrainModelOperator(task_id="train", use_case=use_case.name, snapshot=take(use_case, run))
    assert MlflowRunLink().get_link(operator, ti_key=None) == ""
    run_id = operator.execute(run)["run_id"]
    assert MlflowRunLink().get_link(operator, ti_key=None).endswith(f"/runs/{run_id}")
    assert registry.uri in operator.evidence_url


def test_the_card_is_linked_and_the_ledger_keeps_what_the_gates_said(
    flown, database, registry, use_case, context
):
    run = context()
    operator = RegisterModelOperator(task_id="register", use_case=use_case.name, **made_by(use_case, run))
    assert ModelCardLink().get_link(operator, ti_key=None) == ""
    operator.execute(run)
    assert ModelCardLink().get_link(operator, ti_key=None).endswith("/artifacts/model_card.html")
    said = events(database, use_case)[0]["evidence"]["gates"]
    assert ("threshold_roc_auc", "pass") in [(gate["gate"], gate["outcome"]) for gate in said]


def test_a_snapshot_ends_before_the_day_that_was_asked_for(flown, database, use_case, context):
    snapshot = json.loads(take(use_case, context(), as_of="2013-01-11"))
    assert (snapshot["as_of"], snapshot["days"]) == ("2013-01-11", ["2013-01-01", "2013-01-10"])


def test_a_backfilled_training_is_as_of_its_own_date(flown, database, use_case, context):
    moment = datetime(2013, 1, 16, 2, tzinfo=UTC)
    run = context({"run_type": "backfill", "logical_date": moment})
    assert json.loads(take(use_case, run))["days"][1] == "2013-01-15"


def test_a_nightly_training_without_news_is_skipped(flown, database, registry, use_case, context):
    run = context()
    promote(database, use_case, register(use_case, run, **made_by(use_case, run)))
    with pytest.raises(AirflowSkipException, match="version 1 learned from"):
        take(use_case, context(NIGHTLY))
    assert take(use_case, context()) != ""


def test_a_nightly_training_on_new_data_goes_on(flown, database, registry, use_case, context):
    run = context()
    promote(database, use_case, register(use_case, run, **made_by(use_case, run)))
    last, day = date(2013, 1, 20), date(2013, 1, 21)
    for table in ("flight_features", "arrivals"):
        rows = flown.read(table, [last]).assign(day=f"{day}")
        flown.publish(table, rows, [day], metadata={})
    assert json.loads(take(use_case, context(NIGHTLY)))["days"][1] == "2013-01-21"


def test_a_nightly_training_without_a_champion_goes_on(flown, database, registry, use_case, context):
    assert take(use_case, context(NIGHTLY)) == take(use_case, context())


@pytest.mark.parametrize("table", ["flight_features", "arrivals"])
def test_a_nightly_training_before_there_is_a_table_is_skipped(flown, use_case, context, table):
    shutil.rmtree(f"{flown.uri}/{table}")
    with pytest.raises(AirflowSkipException, match=f"{table} was never published"):
        take(use_case, context(NIGHTLY))


def test_a_training_that_a_person_asked_for_fails_without_data(lake, use_case, context):
    with pytest.raises(PartitionMissing, match="no table flight_features"):
        take(use_case, context())


def nominate(run):
    AnnounceCandidateOperator(task_id="nominate", use_case="flight_delay", version=3).execute(run)
    return run["outlet_events"][assets.candidate("flight_delay")].extra


@pytest.mark.parametrize("kind", ["manual", "scheduled", "asset_triggered"])
def test_a_version_is_announced(context, kind):
    announced = nominate(context({"run_type": kind, "triggering_user_name": "ann"}))
    assert announced == {"version": 3, "requested_by": "ann"}


def test_a_backfilled_version_is_evidence_and_not_announced(context):
    run = context({"run_type": "backfill"})
    with pytest.raises(AirflowSkipException, match="registered, not deployed"):
        nominate(run)
    assert run["outlet_events"][assets.candidate("flight_delay")].extra == {}
