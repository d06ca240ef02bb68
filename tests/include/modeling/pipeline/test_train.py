"""Pipeline of a training DAG: train, evaluate, judge, certify and register, with a real MLflow."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from include.certificates import certificate
from include.declarations import Improvement, Split, Threshold
from include.errors import CertificateInvalid, ConflictError, GateFailed, SettingsError
from include.modeling import gates
from include.modeling.evaluation.evidence import Evidence
from include.modeling.gates.performance import ImprovementGate
from include.modeling.pipeline import evaluate, train
from include.modeling.pipeline.workspace import TrainedCandidate, Workspace
from include.modeling.registration import register, versions
from include.modeling.registry import load_version
from include.modeling.registry.provenance import Provenance
from include.modeling.registry.registry import Registry
from include.release.rollout import ReleaseState
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from include.use_cases.flight_delay import build_model
from tests.include.conftest import make_flights, predict_in_process

if TYPE_CHECKING:
    import pandas as pd

    from include.modeling.gates import Verdict

SPLIT = Split(validation_days=5, test_days=10, minimum_rows=100)


def small():
    """Return the use case's own estimator, quick to fit."""
    return build_model().set_params(histgradientboostingclassifier__max_iter=20)


GATES = {
    "flight_delay": (
        Threshold(metric="roc_auc", minimum=0.62),
        Improvement(metric="log_loss", minimum_gain=0.002),
    ),
    "air_time": (Threshold(metric="mae", maximum=15),),
}


def own(use_case, **changes):
    """Return the use case with a shorter split, and with few gates."""
    return use_case.model_copy(update={"split": SPLIT, "gates": GATES[use_case.name], **changes})


def made_of(frame, **changes):
    snapshot = {"digest": f"{len(frame)}-{frame['day'].max()}", "as_of": "2013-03-02", "rows": len(frame)}
    return Provenance(**{"snapshot": snapshot, "code_version": "abc", "lock_hash": "def"} | changes)


@pytest.fixture
def workspace(registry, keys, tmp_path):
    (tmp_path / "work").mkdir()
    return Workspace(registry, own(FLIGHT_DELAY), tmp_path / "work", keys)


@pytest.fixture
def new_workspace(workspace, tmp_path):
    """Return a function that makes the workspace of the next task: the same registry, an empty folder."""

    def make():
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return replace(workspace, workdir=folder)

    return make


@pytest.fixture
def new_run(registry):
    def make(use_case=FLIGHT_DELAY):
        run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        return registry.run_for(use_case.name, run)

    return make


def run_pipeline(new_workspace, frame, run_id, *, champion_version=None, estimator=None):
    """Return candidate, evidence, verdicts and version; each step has an empty folder."""
    inputs = made_of(frame)
    candidate = train.train_candidate(
        new_workspace(), estimator or small(), frame, run_id=run_id, provenance=inputs
    )
    evidence = evaluate.evaluate_candidate(
        new_workspace(), candidate, frame, champion_version=champion_version
    )
    verdicts = gates.judge_gates(new_workspace().use_case, evidence)
    register.record_verdicts(new_workspace(), candidate, verdicts)
    version = register.register_candidate(
        new_workspace(), candidate, verdicts, evidence=evidence, provenance=inputs
    )
    return candidate, evidence, verdicts, version


@dataclass(frozen=True)
class Registered:
    """Result of a pipeline that has ended, for tests that change nothing."""

    frame: pd.DataFrame
    run_id: str
    candidate: TrainedCandidate
    evidence: Evidence
    verdicts: list[Verdict]
    version: int


@pytest.fixture(scope="module")
def registered(mlflow_server, keys, tmp_path_factory):
    registry = Registry(mlflow_server)
    frame = make_flights()
    run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    run_id = registry.run_for(FLIGHT_DELAY.name, run)

    def new_workspace():
        return Workspace(registry, own(FLIGHT_DELAY), tmp_path_factory.mktemp("registered"), keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "isolated_predictor", predict_in_process)
        return Registered(frame, run_id, *run_pipeline(new_workspace, frame, run_id))


def test_first_model_is_certified_and_registered(registered, keys, tmp_path, registry):
    loaded = load_version.load_version(
        registry, "flight_delay", registered.version, folder=tmp_path / "loaded", trusted=keys / "trusted"
    )
    assert loaded.certificate.model_digest == registered.candidate.digest
    assert loaded.certificate.snapshot == made_of(registered.frame).snapshot
    assert loaded.certificate.seeds == {"training.seed": 0, "histgradientboostingclassifier__random_state": 0}
    assert loaded.certificate.run_id == registered.run_id
    assert loaded.certificate.metrics == registered.evidence.metrics["test"]
    assert [gate.gate for gate in loaded.certificate.gates] == [
        verdict.gate for verdict in registered.verdicts
    ]


def test_registered_model_predicts_as_in_the_evaluation(registered, keys, tmp_path, registry):
    loaded = load_version.load_version(
        registry, "flight_delay", registered.version, folder=tmp_path / "loaded", trusted=keys / "trusted"
    )
    test = registered.frame[registered.frame["day"] >= "2013-02-20"]
    assert len(test) == registered.evidence.rows["test"]
    predictions = loaded.model.predict(test)
    assert (predictions.min(), predictions.max()) == registered.evidence.prediction_range


def test_repeated_steps_give_the_same_version(new_workspace, flights, new_run):
    run_id = new_run()
    first = run_pipeline(new_workspace, flights(), run_id)
    second = run_pipeline(new_workspace, flights(), run_id)
    assert (first[0], first[3]) == (second[0], second[3])


def test_certificate_is_issued_once(new_workspace, flights, new_run, registry, tmp_path):
    run_id = new_run()
    issued = []
    for name in ("first", "second"):
        candidate, *_ = run_pipeline(new_workspace, flights(), run_id)
        issued.append(
            (registry.fetch(candidate.model_id, tmp_path / name) / certificate.FILE_NAME).read_bytes()
        )
    assert issued[0] == issued[1]


def test_trained_model_is_not_fitted_again(new_workspace, flights, new_run):
    class Unfit:
        def fit(self, *_):
            raise AssertionError("fitted again")

    run_id = new_run()
    frame = flights()
    first = train.train_candidate(new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame))
    assert (
        train.train_candidate(new_workspace(), Unfit(), frame, run_id=run_id, provenance=made_of(frame))
        == first
    )


@pytest.mark.parametrize(
    "change", [{"code_version": "new"}, {"lock_hash": "new"}, {"snapshot": {"digest": "new"}}]
)
def test_run_with_other_inputs_is_a_conflict(new_workspace, flights, new_run, change):
    run_id = new_run()
    frame = flights()
    train.train_candidate(new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame))
    with pytest.raises(ConflictError, match="new DAG run"):
        train.train_candidate(
            new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame, **change)
        )


def test_certificate_names_the_code_of_the_training(new_workspace, flights, new_run, registry, tmp_path):
    frame = flights()
    candidate = train.train_candidate(
        new_workspace(), small(), frame, run_id=new_run(), provenance=made_of(frame)
    )
    evidence = evaluate.evaluate_candidate(new_workspace(), candidate, frame)
    verdicts = gates.judge_gates(own(FLIGHT_DELAY), evidence)
    deployed_since = made_of(frame, code_version="newer")
    workspace = new_workspace()
    version = register.register_candidate(
        workspace, candidate, verdicts, evidence=evidence, provenance=deployed_since
    )
    verified = versions.verify_version(registry, "flight_delay", version, trusted=workspace.trusted)
    assert verified.code_version == "abc"


def test_other_snapshot_is_not_certified(registered, new_workspace):
    other = made_of(registered.frame, snapshot={"digest": "other"})
    with pytest.raises(SettingsError, match="was not trained on the snapshot"):
        register.register_candidate(
            new_workspace(),
            registered.candidate,
            registered.verdicts,
            evidence=registered.evidence,
            provenance=other,
        )


def test_refused_candidate_is_not_certified(new_workspace, flights, new_run, registry, tmp_path):
    frame = flights()
    candidate = train.train_candidate(
        new_workspace(), small(), frame, run_id=new_run(), provenance=made_of(frame)
    )
    evidence = evaluate.evaluate_candidate(new_workspace(), candidate, frame)
    demanding = own(FLIGHT_DELAY, gates=(Threshold(metric="roc_auc", minimum=0.999),))
    verdicts = gates.judge_gates(demanding, evidence)
    with pytest.raises(GateFailed, match=r"threshold_roc_auc: fail: roc_auc 0\.\d+ is under the minimum"):
        register.register_candidate(
            new_workspace(), candidate, verdicts, evidence=evidence, provenance=made_of(frame)
        )
    assert not (registry.fetch(candidate.model_id, tmp_path / "fetched") / certificate.FILE_NAME).exists()


def test_exchanged_files_are_not_loaded(new_workspace, flights, new_run, registry, packaged):
    frame = flights()
    run_id = new_run()
    candidate = train.train_candidate(
        new_workspace(), small(), frame, run_id=run_id, provenance=made_of(frame)
    )
    registry._client.log_model_artifacts(candidate.model_id, str(packaged))
    with pytest.raises(CertificateInvalid, match=candidate.digest):
        evaluate.evaluate_candidate(new_workspace(), candidate, frame)


def test_champion_is_compared_on_the_challengers_test_rows(new_workspace, flights, new_run):
    *_, version = run_pipeline(new_workspace, flights(days=40), new_run())
    frame = flights(days=80, seed=3)
    _, evidence, _, newer = run_pipeline(new_workspace, frame, new_run(), champion_version=version)
    assert newer > version
    assert evidence.champion.version == version
    assert evidence.champion.metrics.keys() == evidence.metrics["test"].keys()
    assert [gain.metric for gain in evidence.champion.gains] == ["log_loss"]
    assert evidence.champion.overlap == 0


def test_test_row_that_the_champion_was_trained_on_blocks(new_workspace, flights, new_run):
    *_, version = run_pipeline(new_workspace, flights("2013-01-01", 80), new_run())
    frame = flights("2013-01-01", 45)
    candidate = train.train_candidate(
        new_workspace(), small(), frame, run_id=new_run(), provenance=made_of(frame)
    )
    evidence = evaluate.evaluate_candidate(new_workspace(), candidate, frame, champion_version=version)
    assert evidence.champion.overlap == evidence.rows["test"]
    assert "overlap" in {
        verdict.gate for verdict in gates.failed(gates.judge_gates(own(FLIGHT_DELAY), evidence))
    }


def test_copy_of_the_champion_gains_nothing(new_workspace, flights, new_run):
    frame = flights()
    *_, version = run_pipeline(new_workspace, frame, new_run())
    candidate = train.train_candidate(
        new_workspace(), small(), frame, run_id=new_run(), provenance=made_of(frame)
    )
    evidence = evaluate.evaluate_candidate(new_workspace(), candidate, frame, champion_version=version)
    gate = ImprovementGate(Improvement(metric="log_loss", minimum_gain=0.001), own(FLIGHT_DELAY))
    assert gate.judge(evidence).outcome == "fail"


def test_regression_is_registered(new_workspace, flights, new_run, keys, tmp_path, registry, estimators):
    from sklearn.base import clone

    frame = flights(task="regression")
    use_case = own(AIR_TIME)
    run_id = new_run(AIR_TIME)

    def regression_workspace():
        return replace(new_workspace(), use_case=use_case)

    *_, version = run_pipeline(regression_workspace, frame, run_id, estimator=clone(estimators["air_time"]))
    loaded = load_version.load_version(
        registry, "air_time", version, folder=tmp_path / "loaded", trusted=keys / "trusted"
    )
    assert loaded.model.task == "regression"


def test_references_between_tasks_are_small_and_plain(registered):
    candidate = registered.candidate
    evidence = registered.evidence
    assert TrainedCandidate(**asdict(candidate)) == candidate
    assert Evidence(**evidence.model_dump(mode="json")) == evidence
    assert len(evidence.model_dump_json()) < 20_000


def test_run_has_metrics_parameters_tags_and_files(registered, registry):
    run_id = registered.run_id
    evidence = registered.evidence
    run = registry._client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test.roc_auc"] == pytest.approx(evidence.metrics["test"]["roc_auc"])
    assert run.data.params["histgradientboostingclassifier__max_iter"] == "20"
    assert run.data.tags["airworthy.gate.threshold_roc_auc"] == "pass"
    assert run.data.tags["airworthy.code_version"] == "abc"
    assert {file.path for file in registry._client.list_artifacts(run_id)} >= {
        "evidence.json",
        "gates.json",
        "gates.md",
        "roc.png",
        "precision_recall.png",
        "reliability.png",
    }


def test_version_names_its_data_and_code(registered, registry):
    tags = registry.tags_of("flight_delay", registered.version)
    assert tags["airworthy.snapshot.digest"] == made_of(registered.frame).snapshot["digest"]
    assert tags["airworthy.code_version"] == "abc"


def test_version_of_an_unknown_key_is_not_loaded(registered, registry, tmp_path):
    certificate.generate_keys(tmp_path / "others")
    others = tmp_path / "others" / "trusted"
    with pytest.raises(CertificateInvalid, match="unknown"):
        load_version.load_version(
            registry, "flight_delay", registered.version, folder=tmp_path / "x", trusted=others
        )


def test_golden_rows_have_the_predictions_to_expect(registered, keys, registry):
    rows = versions.golden_of_version(registry, "flight_delay", registered.version, trusted=keys / "trusted")
    assert rows["dataframe_split"]["columns"] == list(FLIGHT_DELAY.features)
    assert len(rows["predictions"]) == len(rows["dataframe_split"]["data"]) == 50
    assert np.isfinite(rows["predictions"]).all()


def test_aliases_show_the_desired_state(registered, registry):
    versions.project_aliases(registry, ReleaseState("flight_delay", champion=registered.version))
    aliases = registry._client.get_registered_model("flight_delay").aliases
    assert {name: int(number) for name, number in aliases.items()} == {"champion": registered.version}
