"""Experiments of the training DAG: other features, parameters and days, compared and never registered."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from airflow.sdk.exceptions import AirflowSkipException

from airworthy.operators.approval import CandidateApprovalOperator
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from airworthy.operators.tuning import TuneModelOperator
from include.database import ledger
from include.declarations import Threshold
from include.errors import DataError, DeclarationError
from include.modeling.backtest.walk_forward import run_backtest
from include.modeling.experiments import compare_runs
from tests.plugins.airworthy.operators.test_tuning import BY_STRENGTH, build
from tests.plugins.conftest import small

PARAMS = {
    "experiment": True,
    "parameters": {"strength": 0.5},
    "features": ["hour", "distance"],
    "first_day": "2013-01-03",
}


@pytest.fixture
def challenged(champion, declare, monkeypatch):
    """Return the use case of a champion, with a parameter, and with a gate that no candidate passes."""
    changed = declare(small(champion.name, gates=(Threshold(metric="roc_auc", minimum=0.999),)))
    monkeypatch.setattr(sys.modules[f"include.use_cases.{changed.name}"], "build_model", build)
    return changed


def run_experiment(use_case, run):
    """Run the tasks of an experiment that are not skipped; return their XComs."""
    name = {"use_case": use_case.name}
    snapshot = TakeSnapshotOperator(task_id="snapshot", **name).execute(run)
    candidate = TrainModelOperator(task_id="train", snapshot=snapshot, **name).execute(run)
    made = {"snapshot": snapshot, "candidate": candidate, **name}
    made["evidence"] = EvaluateModelOperator(task_id="evaluate", **made).execute(run)
    return made | {"question": ModelGateOperator(task_id="gate", **made).execute(run)}


def test_experiment_is_compared_and_not_registered(flown, database, registry, challenged, context):
    run = context({"run_id": "manual__experiment"}, params=PARAMS)
    with database.connect() as connection:
        before = ledger.ledger_entries(connection, challenged.name)
    made = run_experiment(challenged, run)
    question = made.pop("question")
    assert question is None
    approval = CandidateApprovalOperator(
        task_id="approve", use_case=challenged.name, candidate=made["candidate"], question=question
    )
    with pytest.raises(AirflowSkipException, match="neither approved nor registered"):
        approval.execute(run)
    with pytest.raises(AirflowSkipException, match="not registered"):
        RegisterModelOperator(task_id="register", **made).execute(run)
    (trained,) = [
        trained
        for trained in registry.search_runs(challenged.name)
        if trained.info.run_id == made["candidate"]["run_id"]
    ]
    assert trained.info.status == "FINISHED"
    with database.connect() as connection:
        assert ledger.ledger_entries(connection, challenged.name) == before


def test_experiment_is_summarised_for_comparison(flown, database, registry, challenged, context):
    run_experiment(challenged, context({"run_id": "manual__experiment"}, params=PARAMS))
    (summary,) = compare_runs(registry, challenged)
    assert (summary.dag_run, summary.is_experiment) == ("manual__experiment", True)
    assert summary.status == "FINISHED"
    assert summary.features == ("hour", "distance")
    assert summary.parameters == {"strength": 0.5}
    assert summary.days == ("2013-01-03", "2013-01-20")
    figures = summary.metrics["roc_auc"]
    assert figures.interval[0] <= figures.value <= figures.interval[1]
    assert (summary.champion, summary.gain.metric) == (1, "roc_auc")
    assert summary.conclusion == "refused"
    assert "threshold_roc_auc" in summary.failed
    assert compare_runs(registry, challenged, ["manual__experiment"]) == [summary]
    with pytest.raises(DataError, match=f"has no training other in MLflow; .*{summary.run_id}"):
        compare_runs(registry, challenged, ["other"])
    day = date.fromisoformat(summary.as_of)
    with pytest.raises(DataError, match="has no training as of"):
        run_backtest(registry, challenged, day, day)


def test_parameters_of_an_experiment_are_not_tuned(flown, database, use_case, declare, context):
    tuned = declare(small(use_case.name, tuning=BY_STRENGTH))
    snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=tuned.name).execute(context(params=PARAMS))
    operator = TuneModelOperator(task_id="tune", use_case=tuned.name, snapshot=snapshot)
    assert operator.execute(context(params=PARAMS)) == {"parameters": {"strength": 0.5}, "trials": 0}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"features": ["hour"]}, "features: a model that may be released"),
        ({"experiment": True, "features": ["speed"]}, "'speed' does not exist"),
        ({"experiment": True, "features": ["flight_id"]}, "is the entity of flight_features"),
    ],
)
def test_impossible_experiment_fails_at_once(flown, database, use_case, context, params, message):
    with pytest.raises(DeclarationError, match=message):
        TakeSnapshotOperator(task_id="snapshot", use_case=use_case.name).execute(context(params=params))


def test_use_case_without_experiments_names_the_trigger(registry, use_case):
    with pytest.raises(DataError, match=f"Trigger {use_case.name}_training with `experiment: true`"):
        compare_runs(registry, use_case)
