"""The pipeline of a use case with several classes: training, gates, package, version, predictions."""

from __future__ import annotations

import uuid

import numpy as np
import pytest

from include.catalog import catalog
from include.data.snapshots.splits import Splits
from include.data.snapshots.target_encoding import encode
from include.declarations import METRICS, Split, Training
from include.errors import DataError, TrainingFailed
from include.feature_values import column_kind
from include.inference.model import Interface, ServedModel
from include.inference.predictions import PREDICTION, PROBABILITY
from include.inference.shapley import attribute
from include.modeling import gates
from include.modeling.evaluation.baseline import baseline_predictions
from include.modeling.evaluation.metrics import predict
from include.modeling.pipeline import evaluate as evaluation
from include.modeling.pipeline import train
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register
from include.modeling.registry import load_version
from include.modeling.registry.provenance import Provenance
from include.modeling.training.fit import fit_candidate
from include.use_cases.delay_band import USE_CASE, build_model
from tests.scored_frames import score_frame

CLASSES = USE_CASE.label.classes
PROVENANCE = Provenance({"digest": "d", "as_of": "2013-03-02"}, "abc", "def")
SMALL = USE_CASE.model_copy(
    update={
        "split": Split(validation_days=5, test_days=10, minimum_rows=100),
        "training": Training(early_stopping=5),
    }
)


@pytest.fixture
def bands(flights):
    """Return a function that makes flights of three classes: windy evening flights are late."""

    def make(days=60, **changes):
        frame = flights(days=days, task="regression", **changes)
        rng = np.random.default_rng(1)
        delay = (
            (frame["hour"] - 14) * 6
            + (frame["wind_speed"].fillna(10) - 10) * 8
            + rng.normal(0, 15, len(frame))
        )
        return frame.assign(_airworthy_target=encode(USE_CASE.label, delay).astype("int64"))

    return make


def test_class_that_is_absent_in_training_is_named(bands):
    train = bands(days=10)
    with pytest.raises(DataError, match="none of 400 training rows is very_late"):
        fit_candidate(
            SMALL,
            build_model(),
            Splits(train.assign(_airworthy_target=np.minimum(train["_airworthy_target"], 1)), train, train),
        )


def test_estimator_with_too_few_columns_is_refused(bands):
    from sklearn.dummy import DummyClassifier

    class Short(DummyClassifier):
        def predict_proba(self, rows):
            return super().predict_proba(rows)[:, :2]

    train = bands(days=10)
    plain = SMALL.model_copy(update={"training": Training()})
    with pytest.raises(TrainingFailed, match=r"in the shape \(400, 2\), expected is \(400, 3\)"):
        fit_candidate(plain, Short(), Splits(train, train, train))


def test_balanced_weights_raise_the_rare_class(bands):
    train = bands(days=20)
    later = bands(days=10, seed=4)
    shares = []
    for weights in (None, "balanced"):
        case = SMALL.model_copy(update={"training": Training(class_weights=weights)})
        model = fit_candidate(case, build_model(minimum_rows=20), Splits(train, later, later)).estimator
        predictions = predict(model, "multiclass", later[list(USE_CASE.features)])
        rare = np.bincount(train["_airworthy_target"]).argmin()
        shares.append(predictions[:, rare].mean())
    assert shares[1] > shares[0]


def test_baseline_is_the_share_of_each_class_in_its_slot(bands):
    train = bands(days=20)
    (shares,) = baseline_predictions(SMALL.model_copy(update={"baseline_by": ("hour",)}), train, train)
    assert shares.shape == (len(train), 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    evening = (train["hour"] == 21).to_numpy()
    expected = np.bincount(train["_airworthy_target"][evening], minlength=3) / evening.sum()
    np.testing.assert_allclose(shares[evening][0], expected)


@pytest.fixture
def run_pipeline(registry, keys, tmp_path, bands):
    """Return a function that trains, evaluates and judges a candidate, each step in an empty folder."""

    def new_workspace():
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return Workspace(registry, SMALL, folder, keys)

    def run(frame, *, champion_version=None):
        tags = {"airworthy.dag": "t", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        run_id = registry.run_for(SMALL.name, tags)
        candidate = train.train_candidate(
            new_workspace(), build_model(minimum_rows=20), frame, run_id=run_id, provenance=PROVENANCE
        )
        evidence = evaluation.evaluate_candidate(
            new_workspace(), candidate, frame, champion_version=champion_version
        )
        verdicts = gates.judge_gates(SMALL, evidence)
        return new_workspace(), candidate, evidence, verdicts

    return run


def test_pipeline_registers_a_version_with_all_probabilities(bands, run_pipeline, registry, keys, tmp_path):
    frame = bands()
    workspace, candidate, evidence, verdicts = run_pipeline(frame)
    assert sorted(evidence.metrics["test"]) == sorted(METRICS["multiclass"])
    assert evidence.skill > 0
    low, high = evidence.intervals["roc_auc"]
    assert low < evidence.metrics["test"]["roc_auc"] < high
    outcomes = {verdict.gate: verdict.outcome for verdict in verdicts}
    assert {outcomes[name] for name in ("golden", "parity", "prediction_range", "threshold_roc_auc")} == {
        "pass"
    }
    files = {file.path for file in registry._client.list_artifacts(candidate.run_id)}
    assert {"confusion.png", "learning_curve.png"} <= files
    register.record_verdicts(workspace, candidate, verdicts)
    version = register.register_candidate(
        workspace, candidate, verdicts, evidence=evidence, provenance=PROVENANCE
    )
    loaded = load_version.load_version(
        registry, SMALL.name, version, folder=tmp_path / "loaded", trusted=workspace.trusted
    )
    assert loaded.model.classes == CLASSES
    predictions = loaded.model.predict(frame)
    assert predictions.shape == (len(frame), 3)
    np.testing.assert_allclose(predictions.sum(axis=1), 1)
    _, _, evidence, verdicts = run_pipeline(frame, champion_version=version)
    assert evidence.champion.gains[0].value == pytest.approx(0)
    assert {verdict.gate: verdict.outcome for verdict in verdicts}["signature"] == "pass"


class ConstantEstimator:
    def predict_proba(self, rows):
        return np.tile([0.1, 0.7, 0.2], (len(rows), 1))


class HourEstimator:
    def predict_proba(self, rows):
        late = rows["hour"].to_numpy() / 100
        return np.column_stack([0.9 - late, np.full(len(rows), 0.1), late])


def test_each_class_is_attributed_to_the_features(bands):
    columns = {"hour": "long", "distance": "double"}
    interface = Interface("delay_band", "multiclass", columns, (0, 1), CLASSES)
    background = bands(days=1)
    rows = bands(days=2).tail(2)
    attributions = attribute(ServedModel(HourEstimator(), interface), background, rows)
    for attribution, hour in zip(attributions, rows["hour"], strict=True):
        assert list(attribution.classes) == list(CLASSES)
        expected = (hour - background["hour"].mean()) / 100
        on_time, late, very_late = attribution.classes.values()
        assert very_late.contributions == pytest.approx({"hour": expected, "distance": 0.0})
        assert on_time.contributions == pytest.approx({"hour": -expected, "distance": 0.0})
        assert (late.base, late.prediction) == pytest.approx((0.1, 0.1))
        assert very_late.prediction == pytest.approx(hour / 100)


def test_batch_has_the_likeliest_class_and_all_probabilities(bands):
    frame = bands(days=2)
    kinds = {name: column_kind(frame[name]) for name in USE_CASE.features}
    interface = Interface("delay_band", "multiclass", kinds, (0, 1), CLASSES)
    scored = score_frame(
        USE_CASE, catalog().spine_of(USE_CASE), ServedModel(ConstantEstimator(), interface), frame, version=3
    )
    assert set(scored[PREDICTION]) == {"late"}
    columns = [f"{PROBABILITY}{name}" for name in CLASSES]
    assert scored[columns].iloc[0].tolist() == [0.1, 0.7, 0.2]
