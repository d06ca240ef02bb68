"""Several classes take the whole path: measures, training, gates, package, certificate, version, answers."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from include.catalog import catalog
from include.data.snapshots.splits import Splits
from include.data.snapshots.target_encoding import encode
from include.declarations import Label, Split, Training
from include.errors import DataError, TrainingFailed
from include.inference.model import Interface, ServedModel
from include.modeling import gates
from include.modeling.batch_scoring import score_batch, score_summary
from include.modeling.evaluation.baseline import baseline_predictions
from include.modeling.evaluation.bootstrap import DayBootstrap
from include.modeling.evaluation.bootstrap_metrics import resample_metric
from include.modeling.evaluation.metrics import MEASURES, compute_metrics, predict
from include.modeling.explainability.shapley import attribute
from include.modeling.pipeline import evaluate as evaluation
from include.modeling.pipeline import train
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register
from include.modeling.registry import load_version
from include.modeling.registry.provenance import Provenance
from include.modeling.training.fit import fit_candidate
from include.use_cases.delay_band import USE_CASE, build_model

CLASSES = USE_CASE.label.classes
EVERY = sorted({"roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1_macro"})
ABOUT = Provenance({"digest": "d", "as_of": "2013-03-02"}, "abc", "def")
SMALL = USE_CASE.model_copy(
    update={
        "split": Split(validation_days=5, test_days=10, minimum_rows=100),
        "training": Training(early_stopping=5),
    }
)


@pytest.fixture
def bands(flights):
    """Return flights of three classes: windy evening flights are late, and very late."""

    def make(days=60, **changes):
        frame = flights(days=days, task="regression", **changes)
        rng = np.random.default_rng(1)
        delay = (
            (frame["hour"] - 14) * 6
            + (frame["wind_speed"].fillna(10) - 10) * 8
            + rng.normal(0, 15, len(frame))
        )
        return frame.assign(target=encode(USE_CASE.label, delay).astype("int64"))

    return make


@pytest.fixture
def some(rng=None):
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 600).astype(float)
    answers = rng.dirichlet((1, 1, 1), 600)
    answers[np.arange(600), target.astype(int)] += 0.5
    return target, answers / answers.sum(axis=1, keepdims=True), rng.integers(0, 12, 600)


@pytest.mark.parametrize("metric", EVERY)
def test_a_measure_of_drawn_days_is_that_of_their_rows(some, metric):
    target, answers, day = some
    days = DayBootstrap.of(day)
    of_days = resample_metric(metric, target, answers, days)
    assert of_days(days.ones)[0] == pytest.approx(MEASURES[metric](target, answers))
    weights = np.zeros((1, days.count))
    weights[0, [2, 5, 7]] = 1, 2, 1
    rows = np.concatenate([np.flatnonzero(day == which) for which in (2, 5, 5, 7)])
    if metric != "roc_auc":  # a pair of a day with itself is counted once more there
        assert of_days(weights)[0] == pytest.approx(MEASURES[metric](target[rows], answers[rows]))
    assert of_days(days.weights).std() > 0


def test_the_metrics_are_those_of_the_field(some):
    target, answers, _ = some
    found = compute_metrics(USE_CASE, answers, target)
    assert sorted(found) == EVERY
    assert found["roc_auc"] == pytest.approx(
        metrics.roc_auc_score(target, answers, multi_class="ovr", average="macro")
    )
    assert found["f1_macro"] == pytest.approx(metrics.f1_score(target, answers.argmax(1), average="macro"))


def test_ranking_is_undefined_where_a_class_is_not_there(some):
    target, answers, _ = some
    assert "roc_auc" not in compute_metrics(USE_CASE, answers, np.minimum(target, 1))


def test_bands_part_at_their_ends():
    found = encode(USE_CASE.label, pd.Series([-5, 15, 15.5, 60, 61, None]))
    assert found.tolist()[:5] == [0, 0, 1, 1, 2]
    assert np.isnan(found[5])


def test_a_column_may_name_the_class():
    label = Label(dataset="arrivals", column="outcome", classes=("landed", "diverted", "cancelled"))
    assert encode(label, pd.Series(["cancelled", None, "landed"])).tolist()[::2] == [2, 0]
    with pytest.raises(DataError, match="outcome names lost, and the declared classes are landed, diverted"):
        encode(label, pd.Series(["lost", "landed"]))


def test_a_class_that_is_not_in_training_is_named(bands):
    train = bands(days=10)
    with pytest.raises(DataError, match="none of 400 training rows is very_late"):
        fit_candidate(
            SMALL, build_model(), Splits(train.assign(target=np.minimum(train["target"], 1)), train, train)
        )


def test_an_estimator_with_too_few_columns_is_refused(bands):
    from sklearn.dummy import DummyClassifier

    class Short(DummyClassifier):
        def predict_proba(self, rows):
            return super().predict_proba(rows)[:, :2]

    train = bands(days=10)
    plain = SMALL.model_copy(update={"training": Training()})
    with pytest.raises(TrainingFailed, match=r"in the shape \(400, 2\), expected is \(400, 3\)"):
        fit_candidate(plain, Short(), Splits(train, train, train))


def test_balanced_weights_find_the_rare_class_more_often(bands):
    train, later = bands(days=20), bands(days=10, seed=4)
    shares = []
    for weights in (None, "balanced"):
        case = SMALL.model_copy(update={"training": Training(class_weights=weights)})
        model = fit_candidate(case, build_model(minimum_rows=20), Splits(train, later, later)).estimator
        answers = predict(model, "multiclass", later[list(USE_CASE.features)])
        rare = np.bincount(train["target"]).argmin()
        shares.append(answers[:, rare].mean())
    assert shares[1] > shares[0]


def test_the_naive_forecast_is_the_share_of_each_class_in_its_slot(bands):
    train = bands(days=20)
    (shares,) = baseline_predictions(SMALL.model_copy(update={"naive_by": ("hour",)}), train, train)
    assert shares.shape == (len(train), 3)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    evening = (train["hour"] == 21).to_numpy()
    expected = np.bincount(train["target"][evening], minlength=3) / evening.sum()
    np.testing.assert_allclose(shares[evening][0], expected)


@pytest.fixture
def life(registry, keys, tmp_path, bands):
    """Return a way to train, evaluate and judge a candidate, each step where an earlier task left nothing."""

    def site():
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return Workspace(registry, SMALL, folder, keys)

    def live(frame, *, rival=None):
        tags = {"airworthy.dag": "t", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        run_id = registry.run_for(SMALL.name, tags)
        made = train.train_candidate(
            site(), build_model(minimum_rows=20), frame, run_id=run_id, provenance=ABOUT
        )
        evidence = evaluation.evaluate_candidate(site(), made, frame, champion_version=rival)
        verdicts = gates.judge_gates(SMALL, evidence)
        return site(), made, evidence, verdicts

    return live


def test_the_whole_path_ends_at_a_version_that_answers_a_probability_for_each_class(
    bands, life, registry, keys, tmp_path
):
    frame = bands()
    site, made, evidence, verdicts = life(frame)
    assert sorted(evidence.metrics["test"]) == EVERY
    assert evidence.skill > 0
    low, high = evidence.intervals["roc_auc"]
    assert low < evidence.metrics["test"]["roc_auc"] < high
    said = {verdict.gate: verdict.outcome for verdict in verdicts}
    assert {said[name] for name in ("golden", "parity", "prediction_range", "threshold_roc_auc")} == {"pass"}
    names = {file.path for file in registry._client.list_artifacts(made.run_id)}
    assert {"confusion.png", "learning_curve.png"} <= names
    register.record_verdicts(site, made, verdicts)
    version = register.register_candidate(site, made, verdicts, evidence=evidence, provenance=ABOUT)
    held = load_version.load_version(
        registry, SMALL.name, version, folder=tmp_path / "held", trusted=site.trusted
    )
    assert held.model.classes == CLASSES
    answers = held.model.predict(frame)
    assert answers.shape == (len(frame), 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1)
    _, _, evidence, verdicts = life(frame, rival=version)
    assert evidence.champion.gains[0].value == pytest.approx(0)
    assert {verdict.gate: verdict.outcome for verdict in verdicts}["signature"] == "pass"


class Certain:
    def predict_proba(self, rows):
        return np.tile([0.1, 0.7, 0.2], (len(rows), 1))


def test_a_prediction_of_several_classes_is_not_attributed_as_one_number(bands):
    interface = Interface("delay_band", "multiclass", {}, (0, 1), CLASSES)
    with pytest.raises(DataError, match="a probability for each of on_time, late, very_late"):
        attribute(ServedModel(Certain(), interface), bands(days=1), bands(days=1))


def test_a_batch_has_the_likeliest_class_and_every_probability(bands):
    frame = bands(days=2)
    interface = Interface(
        "delay_band", "multiclass", dict.fromkeys(USE_CASE.features, "double"), (0, 1), CLASSES
    )
    view = catalog().feature_views["flight_features"]
    scored = score_batch(USE_CASE, view, ServedModel(Certain(), interface), frame, version=3)
    assert set(scored["prediction"]) == {"late"}
    columns = [f"probability_{name}" for name in CLASSES]
    assert scored[columns].iloc[0].tolist() == [0.1, 0.7, 0.2]
    assert score_summary(scored) == {"shares": {"late": 1.0}}
