"""Tests of `train_candidate`: the content of the MLflow run, and rows that are refused."""

from __future__ import annotations

import uuid

import pytest

from include.declarations import Split, Training
from include.errors import DataError
from include.modeling.pipeline.train import train_candidate
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registry.provenance import Provenance
from include.use_cases.flight_delay import USE_CASE, build_model

SPLIT = Split(validation_days=5, test_days=10, minimum_rows=100)
PROVENANCE = Provenance({"digest": "d", "as_of": "2013-03-02"}, "abc", "def", {"max_iter": 30})


@pytest.fixture
def site(registry, keys, tmp_path):
    def make(**changes):
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return Workspace(registry, USE_CASE.model_copy(update={"split": SPLIT, **changes}), folder, keys)

    return make


@pytest.fixture
def run_id(registry):
    tags = {"airworthy.dag": "t", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    return registry.run_for("flight_delay", tags)


def small_model():
    return build_model().set_params(histgradientboostingclassifier__max_iter=30)


def test_a_run_contains_learning_curve_resources_and_notes(site, run_id, registry, flights):
    frame = flights().assign(visibility=3.0)
    train_candidate(
        site(training=Training(early_stopping=4)), small_model(), frame, run_id=run_id, provenance=PROVENANCE
    )
    run = registry._client.get_run(run_id).data
    assert {"fit_seconds", "wall_seconds", "cpu_seconds", "peak_memory_mib", "training_rows"} <= set(
        run.metrics
    )
    assert run.metrics["peak_memory_mib"] > 50
    assert 4 <= run.metrics["iterations"] <= 30
    gap = run.metrics["learning_curve.validation"] - run.metrics["learning_curve.train"]
    assert run.metrics["learning_curve.gap"] == pytest.approx(gap)
    points = registry._client.get_metric_history(run_id, "learning_curve.log_loss.validation")
    assert [point.step for point in points][-1] == run.metrics["iterations"]
    assert points[-1].value == run.metrics["learning_curve.validation"]
    assert run.tags["airworthy.training.notes"] == "visibility never changes in the 1800 training rows"
    assert run.tags["airworthy.parameters"] == '{"max_iter": 30}'
    assert "learning_curve.png" in {file.path for file in registry._client.list_artifacts(run_id)}


def test_a_snapshot_without_rows_is_refused(site, run_id, flights):
    with pytest.raises(DataError, match="There are 0 days of labelled rows; validation and test need 15"):
        train_candidate(site(), small_model(), flights(days=1).head(0), run_id=run_id, provenance=PROVENANCE)
