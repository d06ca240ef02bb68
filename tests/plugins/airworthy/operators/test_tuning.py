"""A tuned training: the chosen parameters are those of the model and its version."""

from __future__ import annotations

import json
import sys

import pytest

from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from airworthy.operators.tuning import TuneModelOperator
from include.declarations import Categorical, Tuning
from include.errors import SettingsError
from tests.plugins.conftest import build_model, small

BY_STRENGTH = Tuning(
    parameters={"strength": Categorical(values=(1e-6, 1.0))},
    trials=2,
    folds=1,
    fold_days=3,
    metric="log_loss",
)


def build(*, strength=1e-6):
    model = build_model()
    return model.set_params(logisticregression__C=strength)


@pytest.fixture
def tunable(use_case, declare, monkeypatch):
    """Return a declared use case whose estimator has a parameter to tune."""
    tuned = declare(small(use_case.name, tuning=BY_STRENGTH))
    monkeypatch.setattr(sys.modules[f"include.use_cases.{tuned.name}"], "build_model", build)
    return tuned


def test_the_chosen_parameters_are_those_of_the_version(flown, database, registry, tunable, context):
    run = context()
    name = {"use_case": tunable.name}
    snapshot = TakeSnapshotOperator(task_id="snapshot", **name).execute(run)
    tuned = TuneModelOperator(task_id="tune", snapshot=snapshot, **name).execute(run)
    assert json.loads(json.dumps(tuned)) == tuned
    assert (tuned["parameters"], tuned["trials"]) == ({"strength": 1.0}, 2)
    candidate = TrainModelOperator(task_id="train", snapshot=snapshot, tuned=tuned, **name).execute(run)
    parent = registry._client.get_run(candidate["run_id"]).data
    assert parent.params["logisticregression__C"] == "1.0"
    assert parent.metrics["tuning.trials"] == 2
    arguments = {**name, "snapshot": snapshot, "candidate": candidate}
    evidence = EvaluateModelOperator(task_id="evaluate", **arguments).execute(run)
    ModelGateOperator(task_id="gate", evidence=evidence, **arguments).execute(run)
    version = RegisterModelOperator(task_id="register", evidence=evidence, **arguments).execute(run)
    tags = registry.tags_of(tunable.name, version)
    assert json.loads(tags["airworthy.parameters"]) == {"strength": 1.0}


def test_a_use_case_without_tuning_is_refused(flown, database, registry, use_case, context):
    snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=use_case.name).execute(context())
    operator = TuneModelOperator(task_id="tune", use_case=use_case.name, snapshot=snapshot)
    with pytest.raises(SettingsError, match="declares no `tuning`"):
        operator.execute(context())
