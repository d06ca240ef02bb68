"""A tuned training, each task by a new operator: what was chosen reaches the model and its version."""

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
    """Return a declared use case whose estimator has a parameter to choose."""
    tuned = declare(small(use_case.name, tuning=BY_STRENGTH))
    monkeypatch.setattr(sys.modules[f"include.use_cases.{tuned.name}"], "build_model", build)
    return tuned


def test_what_was_chosen_reaches_the_model_and_its_version(flown, database, registry, tunable, context):
    run, name = context(), {"use_case": tunable.name}
    snapshot = TakeSnapshotOperator(task_id="snapshot", **name).execute(run)
    tuned = TuneModelOperator(task_id="tune", snapshot=snapshot, **name).execute(run)
    assert json.loads(json.dumps(tuned)) == tuned
    assert (tuned["parameters"], tuned["trials"]) == ({"strength": 1.0}, 2)
    candidate = TrainModelOperator(task_id="train", snapshot=snapshot, tuned=tuned, **name).execute(run)
    parent = registry._client.get_run(candidate["run_id"]).data
    assert parent.params["logisticregression__C"] == "1.0"
    assert parent.metrics["tuning.trials"] == 2
    made = {**name, "snapshot": snapshot, "candidate": candidate}
    evidence = EvaluateModelOperator(task_id="evaluate", **made).execute(run)
    ModelGateOperator(task_id="gate", evidence=evidence, **made).execute(run)
    version = RegisterModelOperator(task_id="register", evidence=evidence, **made).execute(run)
    tags = registry.tags_of(tunable.name, version)
    assert json.loads(tags["airworthy.parameters"]) == {"strength": 1.0}


def test_a_use_case_that_declares_no_tuning_has_nothing_to_choose(
    flown, database, registry, use_case, context
):
    snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=use_case.name).execute(context())
    operator = TuneModelOperator(task_id="tune", use_case=use_case.name, snapshot=snapshot)
    with pytest.raises(SettingsError, match="declares no `tuning`"):
        operator.execute(context())
