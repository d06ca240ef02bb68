"""Anomaly detection without labels: trained, judged, registered, scored and monitored like other tasks."""

from __future__ import annotations

import shutil
import sys

import pytest

from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.scoring import BatchScoringOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from include.declarations.labels import UNDECLARED
from include.errors import GateFailed
from include.inference.predictions import validate_predictions
from include.modeling.registry import load_version
from include.monitoring import champion_check
from include.release import rollout
from include.settings import settings
from include.storage.staging import Staging
from tests.include.conftest import NIGHT_WEATHER
from tests.plugins.conftest import small


def isolation_forest():
    from sklearn.ensemble import IsolationForest
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    return make_pipeline(SimpleImputer(), IsolationForest(n_estimators=50))


@pytest.fixture
def odd_weather(use_case, declare, flown, monkeypatch):
    """Return an anomaly task on a lake that has no labels at all."""
    shutil.rmtree(f"{flown.uri}/arrivals")
    anomaly = small(
        use_case.name, task="anomaly", label=UNDECLARED, gates=(), features=tuple(NIGHT_WEATHER),
        contamination=0.03, prediction_range=(-1, 1),
    )  # fmt: skip
    declare(anomaly)
    monkeypatch.setattr(sys.modules[f"include.use_cases.{anomaly.name}"], "build_model", isolation_forest)
    return anomaly


def train(use_case, run):
    """Run the tasks up to the evaluation; return their XComs."""
    name = {"use_case": use_case.name}
    snapshot = TakeSnapshotOperator(task_id="snapshot", **name).execute(run)
    candidate = TrainModelOperator(task_id="train", snapshot=snapshot, **name).execute(run)
    made = {"snapshot": snapshot, "candidate": candidate, **name}
    return made | {"evidence": EvaluateModelOperator(task_id="evaluate", **made).execute(run)}


def monitored_quality(use_case, database, certificate, lake):
    with database.connect() as connection:
        state = rollout.read_state(connection, use_case.name)
        champion = champion_check.champion_context(use_case, state, certificate, lake)
        window = champion_check.read_window(champion, connection, lake)
        return champion_check.check_quality(champion, window, connection, lake)


def test_anomaly_task_is_registered_and_scored(flown, database, registry, odd_weather, context, tmp_path):
    run = context()
    made = train(odd_weather, run)
    assert made["evidence"]["metrics"]["test"]["roc_auc"] > 0.9
    assert ModelGateOperator(task_id="gate", **made).execute(run) is None
    outcomes = {verdict["gate"]: verdict["outcome"] for verdict in run["ti"].pushed["verdicts"]}
    assert outcomes["injected_anomalies"] == "pass"
    assert outcomes["flagged_share"] == "pass"
    version = RegisterModelOperator(task_id="register", **made).execute(run)
    lease = rollout.begin(database, odd_weather.name, version, owner="earlier", actor="ann")
    rollout.promote(database, lease, reason="the first", evidence={})

    day = context({"partition_key": "2013-01-05"})
    path = BatchScoringOperator(task_id="score", use_case=odd_weather.name).execute(day)
    scores = Staging(flown.uri).read(path)["_airworthy_prediction"]
    assert len(scores) == 40
    assert 0 <= (scores > 0).mean() < 0.2

    trusted = settings().trusted_keys
    loaded = load_version.load_version(
        registry, odd_weather.name, version, folder=tmp_path / "model", trusted=trusted
    )
    rows = flown.read("flight_features").head(3)
    served = validate_predictions(loaded.model.predict(rows), 3, loaded.model.prediction_range)
    assert len(served) == 3
    quality = monitored_quality(odd_weather, database, loaded.certificate, flown)
    assert (quality.outcome, "has no label" in quality.reason) == ("inconclusive", True)


def test_detector_that_flags_too_much_is_refused(
    flown, database, registry, odd_weather, context, monkeypatch
):
    def build_model():
        model = isolation_forest()
        # Not the declared share.
        return model.set_params(isolationforest__contamination=0.4)

    module = sys.modules[f"include.use_cases.{odd_weather.name}"]
    monkeypatch.setattr(module, "build_model", build_model)
    run = context()
    made = train(odd_weather, run)
    with pytest.raises(GateFailed, match=r"flagged_share: fail: [34]\d\.\d+% of 160 test rows are flagged"):
        ModelGateOperator(task_id="gate", **made).execute(run)
