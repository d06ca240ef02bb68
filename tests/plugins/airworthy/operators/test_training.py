"""Operators from the snapshot to the announced version, each task with a new operator."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from datetime import UTC, date, datetime

import numpy as np
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
from include.errors import GateFailed, PartitionMissing, TrainingFailed
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


def run_until_evaluation(use_case, run):
    """Run the tasks up to the evaluation; return their XComs."""
    snapshot = take(use_case, run)
    made = {"snapshot": snapshot, "candidate": train(use_case, run, snapshot)}
    return made | {"evidence": evaluate(use_case, run, **made)}


def events(database, use_case):
    with database.connect() as connection:
        return ledger.ledger_entries(connection, use_case.name)


def promote(database, use_case, version):
    lease = rollout.begin(database, use_case.name, version, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})


def test_repeated_tasks_make_one_run_and_one_version(flown, database, registry, use_case, context):
    versions = []
    runs = []
    for attempt in (1, 2):
        run = context()
        run["ti"].try_number = attempt
        made = run_until_evaluation(use_case, run)
        assert json.loads(json.dumps(made)) == made
        gate(use_case, run, **made)
        operator = RegisterModelOperator(task_id="register", use_case=use_case.name, **made)
        assert ModelCardLink().get_link(operator, ti_key=None) == ""
        versions.append(operator.execute(run))
        assert ModelCardLink().get_link(operator, ti_key=None).endswith("/artifacts/model_card.html")
        runs.append(made["candidate"]["run_id"])
    assert versions == [1, 1]
    assert runs[0] == runs[1]
    run = registry._client.get_run(runs[0])
    assert run.info.status == "FINISHED"
    assert run.data.tags["airworthy.dag"] == "some_dag"
    assert run.data.tags["airworthy.try"] == "2"
    (entry,) = events(database, use_case)
    assert entry["event"] == "registered"
    verdicts = [(verdict["gate"], verdict["outcome"]) for verdict in entry["evidence"]["gates"]]
    assert ("threshold_roc_auc", "pass") in verdicts
    assert len(registry._client.search_runs([run.info.experiment_id])) == 1


@pytest.fixture
def task_log(caplog, monkeypatch):
    """Return the log of evaluations and gates, which does not reach the standard library's loggers."""
    caplog.set_level("INFO")
    for operator in (EvaluateModelOperator, ModelGateOperator):
        monkeypatch.setattr(operator, "log", logging.getLogger("task"))
    return caplog


@pytest.mark.usefixtures("flown", "registry")
def test_refused_candidate_is_in_the_ledger_once(database, use_case, declare, context, task_log):
    demanding = declare(small(use_case.name, gates=(Threshold(metric="roc_auc", minimum=0.999),)))
    run = context({"triggering_user_name": "ann"})
    made = run_until_evaluation(demanding, run)
    for _ in range(2):
        with pytest.raises(GateFailed, match=r"roc_auc 0\.\d+ is under the minimum 0\.999"):
            gate(demanding, run, **made)
    outcomes = {verdict["gate"]: verdict["outcome"] for verdict in run["ti"].pushed["verdicts"]}
    assert outcomes["threshold_roc_auc"] == "fail"
    assert outcomes["overlap"] == "pass"
    assert " test rows: " in task_log.text
    assert "threshold_roc_auc: fail (block): roc_auc 0." in task_log.text
    (entry,) = events(database, demanding)
    assert (entry["event"], entry["actor"]) == ("refused", "ann")
    assert entry["evidence"]["run_id"] == made["candidate"]["run_id"]
    with pytest.raises(GateFailed):
        register(demanding, run, **made)
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, demanding.name) == 1
    cleared = run_until_evaluation(demanding, context({"triggering_user_name": "ann", "clear_number": 1}))
    assert cleared["candidate"]["run_id"] != made["candidate"]["run_id"]
    # The cleared run is the same attempt, and replaces its own refusal.
    assert cleared["evidence"]["refusals"] == 0


def test_leaking_view_is_refused_until_its_check_passes(
    flown, database, registry, use_case, declare, context
):
    careful = declare(small(use_case.name, gates=(Leakage(maximum=0.99),)))
    rows = flown.read("flight_features")
    run = context()
    flown.publish("flight_features", rows, flown.days("flight_features"), metadata={"run": "f/1", "try": "1"})
    made = run_until_evaluation(careful, run)
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


def with_inconclusive_gate(use_case, declare):
    """Return the use case with a gate that is inconclusive on few test days."""
    return declare(small(use_case.name, gates=(Improvement(metric="roc_auc"),)))


def test_inconclusive_candidate_needs_an_approval(flown, database, registry, use_case, declare, context):
    first = context()
    champion = register(use_case, first, **run_until_evaluation(use_case, first))
    promote(database, use_case, champion)
    challenged = with_inconclusive_gate(use_case, declare)
    run = context({"run_id": "manual__2"})
    made = run_until_evaluation(challenged, run)
    assert made["evidence"]["champion"]["version"] == champion
    assert made["evidence"]["champion"]["metrics"] == pytest.approx(made["evidence"]["metrics"]["test"])
    question = gate(challenged, run, **made)
    assert question["gates"] == ["improvement_roc_auc"]
    assert "4 test days are too few" in question["page"]
    for approvals in (None, [], [{"gate": "another", "by": "bob"}]):
        with pytest.raises(GateFailed, match="improvement_roc_auc: inconclusive"):
            register(challenged, run, approvals=approvals, **made)
    backfill = context({"run_id": "backfill__1", "run_type": "backfill"})
    with pytest.raises(GateFailed, match="inconclusive"):
        gate(challenged, backfill, **made)
    assert events(database, challenged)[0]["event"] == "refused"
    with database.connect() as connection:
        assert ledger.refusals_since_promotion(connection, challenged.name) == 0
    approvals = [{"gate": "improvement_roc_auc", "by": "bob", "at": "2013-03-01", "reason": "bob approved"}]
    version = register(challenged, run, approvals=approvals, **made)
    certificate = versions.verify_version(
        registry, challenged.name, version, trusted=settings().signing_key.parent / "trusted"
    )
    assert list(certificate.approvals) == approvals


def test_link_leads_to_the_mlflow_run(flown, database, registry, use_case, context):
    run = context()
    operator = TrainModelOperator(task_id="train", use_case=use_case.name, snapshot=take(use_case, run))
    assert MlflowRunLink().get_link(operator, ti_key=None) == ""
    run_id = operator.execute(run)["run_id"]
    assert MlflowRunLink().get_link(operator, ti_key=None).endswith(f"/runs/{run_id}")
    assert registry.uri in operator.evidence_url


def test_snapshot_ends_before_the_requested_day(flown, database, use_case, context):
    snapshot = json.loads(take(use_case, context(), as_of="2013-01-11"))
    assert (snapshot["as_of"], snapshot["days"]) == ("2013-01-11", ["2013-01-01", "2013-01-10"])


def test_backfilled_training_is_as_of_its_own_date(flown, database, use_case, context):
    moment = datetime(2013, 1, 16, 2, tzinfo=UTC)
    run = context({"run_type": "backfill", "logical_date": moment})
    assert json.loads(take(use_case, run))["days"][1] == "2013-01-15"


def test_nightly_training_continues_only_on_new_rows(flown, database, registry, use_case, context):
    run = context()
    promote(database, use_case, register(use_case, run, **run_until_evaluation(use_case, run)))
    with pytest.raises(AirflowSkipException, match="version 1 learned from"):
        take(use_case, context(NIGHTLY))
    assert take(use_case, context()) != ""
    last = date(2013, 1, 20)
    day = date(2013, 1, 21)
    for table in ("flight_features", "arrivals"):
        rows = flown.read(table, [last]).assign(_airworthy_day=f"{day}")
        flown.publish(table, rows, [day], metadata={})
    assert json.loads(take(use_case, context(NIGHTLY)))["days"][1] == "2013-01-21"


def test_nightly_training_without_a_champion_continues(flown, database, registry, use_case, context):
    assert take(use_case, context(NIGHTLY)) == take(use_case, context())


@pytest.mark.parametrize("table", ["flight_features", "arrivals"])
def test_nightly_training_without_a_table_is_skipped(flown, use_case, context, table):
    shutil.rmtree(f"{flown.uri}/{table}")
    with pytest.raises(AirflowSkipException, match=f"{table} was never published"):
        take(use_case, context(NIGHTLY))


def test_manual_training_without_data_fails(lake, use_case, context):
    with pytest.raises(PartitionMissing, match="no table flight_features"):
        take(use_case, context())


def announce(run):
    AnnounceCandidateOperator(task_id="announce", use_case="flight_delay", version=3).execute(run)
    return run["outlet_events"][assets.candidate("flight_delay")].extra


@pytest.mark.parametrize("kind", ["manual", "scheduled", "asset_triggered"])
def test_version_is_announced(context, kind):
    announced = announce(context({"run_type": kind, "triggering_user_name": "ann"}))
    assert announced == {"version": 3, "requested_by": "ann"}


def test_backfilled_version_is_not_announced(context):
    run = context({"run_type": "backfill"})
    with pytest.raises(AirflowSkipException, match="registered, but not deployed"):
        announce(run)
    assert run["outlet_events"][assets.candidate("flight_delay")].extra == {}


def test_failed_training_ends_its_run_and_reopens_it(
    flown, database, registry, use_case, context, monkeypatch
):
    def build_model():
        raise RuntimeError("no such thing")

    module = sys.modules[f"include.use_cases.{use_case.name}"]
    works = module.build_model
    run = context()
    snapshot = take(use_case, run)
    monkeypatch.setattr(module, "build_model", build_model)
    with pytest.raises(TrainingFailed, match=r"RuntimeError: no such thing \(tests/.*test_training.py, line"):
        train(use_case, run, snapshot)
    (failed,) = registry.search_runs(use_case.name)
    assert (failed.info.status, failed.info.end_time is None) == ("FAILED", False)
    assert failed.data.tags["airworthy.failed.task"] == "train"
    assert "no such thing" in failed.data.tags["airworthy.failed.reason"]
    monkeypatch.setattr(module, "build_model", works)
    train(use_case, run, snapshot)
    (again,) = registry.search_runs(use_case.name)
    assert (again.info.run_id, again.info.status) == (failed.info.run_id, "RUNNING")
    assert "airworthy.failed.reason" not in again.data.tags


class Plain:
    """A classifier without get_params."""

    def fit(self, rows, target):
        self.hours = target.groupby(rows["hour"]).mean()
        return self

    def predict_proba(self, rows):
        late = rows["hour"].map(self.hours).fillna(0.5).to_numpy()
        return np.column_stack([1 - late, late])


def test_plain_class_is_trained(flown, database, registry, use_case, context, monkeypatch):
    monkeypatch.setattr(sys.modules[f"include.use_cases.{use_case.name}"], "build_model", Plain)
    run = context()
    made = run_until_evaluation(use_case, run)
    gate(use_case, run, **made)
    assert register(use_case, run, **made) == 1
