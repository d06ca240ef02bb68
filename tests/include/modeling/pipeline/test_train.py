"""The path of a training DAG: train, evaluate, judge, certify and register, against a real MLflow."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from include.certificates import certificate
from include.declarations import Improvement, Split, Threshold
from include.errors import CertificateInvalid, ConflictError, GateFailed
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
def site(registry, keys, tmp_path):
    (tmp_path / "work").mkdir()
    return Workspace(registry, own(FLIGHT_DELAY), tmp_path / "work", keys)


@pytest.fixture
def again(site, tmp_path):
    """Return a way to get the place of the next task: the same registry, an empty folder."""

    def fresh():
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return replace(site, workdir=folder)

    return fresh


@pytest.fixture
def new_run(registry):
    def make(use_case=FLIGHT_DELAY):
        run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
        return registry.run_for(use_case.name, run)

    return make


def life(again, frame, run_id, *, rival=None, estimator=None):
    """Return candidate, evidence, verdicts and version, each step where an earlier task has left nothing."""
    about = made_of(frame)
    candidate = train.train_candidate(again(), estimator or small(), frame, run_id=run_id, provenance=about)
    evidence = evaluate.evaluate_candidate(again(), candidate, frame, champion_version=rival)
    verdicts = gates.judge_gates(again().use_case, evidence)
    register.record_verdicts(again(), candidate, verdicts)
    version = register.register_candidate(again(), candidate, verdicts, evidence=evidence, provenance=about)
    return candidate, evidence, verdicts, version


@dataclass(frozen=True)
class Lived:
    """A life that has ended, for tests that look at what is left of it and change nothing."""

    frame: pd.DataFrame
    run_id: str
    candidate: TrainedCandidate
    evidence: Evidence
    verdicts: list[Verdict]
    version: int


@pytest.fixture(scope="module")
def lived(mlflow_server, keys, tmp_path_factory):
    registry, frame = Registry(mlflow_server), make_flights()
    run = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    run_id = registry.run_for(FLIGHT_DELAY.name, run)

    def again():
        return Workspace(registry, own(FLIGHT_DELAY), tmp_path_factory.mktemp("lived"), keys)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "isolated_predictor", predict_in_process)
        return Lived(frame, run_id, *life(again, frame, run_id))


def test_a_first_model_is_certified_and_registered(lived, keys, tmp_path, registry):
    frame, run_id, candidate = lived.frame, lived.run_id, lived.candidate
    evidence, verdicts, version = lived.evidence, lived.verdicts, lived.version
    held = load_version.load_version(
        registry, "flight_delay", version, folder=tmp_path / "held", trusted=keys / "trusted"
    )
    assert held.certificate.model_digest == candidate.digest
    assert held.certificate.snapshot == made_of(frame).snapshot
    assert held.certificate.seeds == {"training.seed": 0, "histgradientboostingclassifier__random_state": 0}
    assert held.certificate.run_id == run_id
    assert held.certificate.metrics == evidence.metrics["test"]
    assert [gate.gate for gate in held.certificate.gates] == [verdict.gate for verdict in verdicts]


def test_a_registered_model_answers_as_it_did_in_evaluation(lived, keys, tmp_path, registry):
    held = load_version.load_version(
        registry, "flight_delay", lived.version, folder=tmp_path / "held", trusted=keys / "trusted"
    )
    test = lived.frame[lived.frame["day"] >= "2013-02-20"]
    assert len(test) == lived.evidence.rows["test"]
    answers = held.model.predict(test)
    assert (answers.min(), answers.max()) == lived.evidence.prediction_range


def test_every_step_tried_again_ends_at_the_same_version(again, flights, new_run):
    run_id = new_run()
    first, second = (life(again, flights(), run_id) for _ in range(2))
    assert (first[0], first[3]) == (second[0], second[3])


def test_a_certificate_is_not_issued_again(again, flights, new_run, registry, tmp_path):
    run_id, issued = new_run(), []
    for name in ("first", "second"):
        candidate, *_ = life(again, flights(), run_id)
        issued.append(
            (registry.fetch_model(candidate.model_id, tmp_path / name) / certificate.FILE_NAME).read_bytes()
        )
    assert issued[0] == issued[1]


def test_a_trained_model_is_not_fitted_again(again, flights, new_run):
    class Unfit:
        def fit(self, *_):
            raise AssertionError("fitted again")

    run_id, frame = new_run(), flights()
    first = train.train_candidate(again(), small(), frame, run_id=run_id, provenance=made_of(frame))
    assert train.train_candidate(again(), Unfit(), frame, run_id=run_id, provenance=made_of(frame)) == first


@pytest.mark.parametrize(
    "change", [{"code_version": "new"}, {"lock_hash": "new"}, {"snapshot": {"digest": "new"}}]
)
def test_a_run_cannot_be_trained_on_something_else(again, flights, new_run, change):
    run_id, frame = new_run(), flights()
    train.train_candidate(again(), small(), frame, run_id=run_id, provenance=made_of(frame))
    with pytest.raises(ConflictError, match="new DAG run"):
        train.train_candidate(again(), small(), frame, run_id=run_id, provenance=made_of(frame, **change))


def test_the_certificate_names_the_code_that_trained(again, flights, new_run, registry, tmp_path):
    frame = flights()
    candidate = train.train_candidate(again(), small(), frame, run_id=new_run(), provenance=made_of(frame))
    evidence = evaluate.evaluate_candidate(again(), candidate, frame)
    verdicts = gates.judge_gates(own(FLIGHT_DELAY), evidence)
    deployed_since = made_of(frame, code_version="newer")
    site = again()
    version = register.register_candidate(
        site, candidate, verdicts, evidence=evidence, provenance=deployed_since
    )
    found = versions.verify_version(registry, "flight_delay", version, trusted=site.trusted)
    assert found.code_version == "abc"


def test_another_snapshot_is_never_certified(lived, again):
    other = made_of(lived.frame, snapshot={"digest": "other"})
    with pytest.raises(ConflictError, match="was not trained on the snapshot"):
        register.register_candidate(
            again(), lived.candidate, lived.verdicts, evidence=lived.evidence, provenance=other
        )


def test_a_refused_candidate_gets_neither_certificate_nor_version(
    again, flights, new_run, registry, tmp_path
):
    frame = flights()
    candidate = train.train_candidate(again(), small(), frame, run_id=new_run(), provenance=made_of(frame))
    evidence = evaluate.evaluate_candidate(again(), candidate, frame)
    too_much = own(FLIGHT_DELAY, gates=(Threshold(metric="roc_auc", minimum=0.999),))
    verdicts = gates.judge_gates(too_much, evidence)
    with pytest.raises(GateFailed, match=r"threshold_roc_auc: fail: roc_auc 0\.\d+ is under the minimum"):
        register.register_candidate(
            again(), candidate, verdicts, evidence=evidence, provenance=made_of(frame)
        )
    assert not (
        registry.fetch_model(candidate.model_id, tmp_path / "fetched") / certificate.FILE_NAME
    ).exists()


def test_files_swapped_in_mlflow_are_never_loaded(again, flights, new_run, registry, packaged):
    frame, run_id = flights(), new_run()
    candidate = train.train_candidate(again(), small(), frame, run_id=run_id, provenance=made_of(frame))
    registry._client.log_model_artifacts(candidate.model_id, str(packaged))
    with pytest.raises(CertificateInvalid, match=candidate.digest):
        evaluate.evaluate_candidate(again(), candidate, frame)


def test_challenger_and_champion_are_compared_on_the_challengers_test_rows(again, flights, new_run):
    *_, version = life(again, flights(days=40), new_run())
    frame = flights(days=80, seed=3)
    _, evidence, _, newer = life(again, frame, new_run(), rival=version)
    assert newer > version
    assert evidence.champion.version == version
    assert evidence.champion.metrics.keys() == evidence.metrics["test"].keys()
    assert [gain.metric for gain in evidence.champion.gains] == ["log_loss"]
    assert evidence.champion.overlap == 0


def test_a_test_row_that_the_champion_was_trained_on_is_found(again, flights, new_run):
    *_, version = life(again, flights("2013-01-01", 80), new_run())
    frame = flights("2013-01-01", 45)
    candidate = train.train_candidate(again(), small(), frame, run_id=new_run(), provenance=made_of(frame))
    evidence = evaluate.evaluate_candidate(again(), candidate, frame, champion_version=version)
    assert evidence.champion.overlap == evidence.rows["test"]
    assert "overlap" in {
        verdict.gate for verdict in gates.failed(gates.judge_gates(own(FLIGHT_DELAY), evidence))
    }


def test_a_champion_compared_with_its_own_copy_gains_nothing(again, flights, new_run):
    frame = flights()
    *_, version = life(again, frame, new_run())
    candidate = train.train_candidate(again(), small(), frame, run_id=new_run(), provenance=made_of(frame))
    evidence = evaluate.evaluate_candidate(again(), candidate, frame, champion_version=version)
    gate = ImprovementGate(Improvement(metric="log_loss", minimum_gain=0.001), own(FLIGHT_DELAY))
    assert gate.judge(evidence).outcome == "fail"


def test_a_regression_takes_the_same_path(
    site, again, flights, new_run, keys, tmp_path, registry, estimators
):
    from sklearn.base import clone

    frame, use_case = flights(task="regression"), own(AIR_TIME)
    run_id = new_run(AIR_TIME)

    def place():
        return replace(again(), use_case=use_case)

    *_, version = life(place, frame, run_id, estimator=clone(estimators["air_time"]))
    held = load_version.load_version(
        registry, "air_time", version, folder=tmp_path / "held", trusted=keys / "trusted"
    )
    assert held.model.task == "regression"


def test_what_travels_between_tasks_is_small_and_plain(lived):
    candidate, evidence = lived.candidate, lived.evidence
    assert TrainedCandidate(**asdict(candidate)) == candidate
    assert Evidence(**evidence.model_dump(mode="json")) == evidence
    assert len(evidence.model_dump_json()) < 20_000


def test_the_run_tells_the_whole_story(lived, registry):
    run_id, evidence = lived.run_id, lived.evidence
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


def test_a_version_names_its_data_and_code(lived, registry):
    tags = registry.tags_of("flight_delay", lived.version)
    assert tags["airworthy.snapshot.digest"] == made_of(lived.frame).snapshot["digest"]
    assert tags["airworthy.code_version"] == "abc"


def test_a_strangers_version_is_not_loaded(lived, registry, tmp_path):
    certificate.generate_keys(tmp_path / "others")
    others = tmp_path / "others" / "trusted"
    with pytest.raises(CertificateInvalid, match="unknown"):
        load_version.load_version(
            registry, "flight_delay", lived.version, folder=tmp_path / "x", trusted=others
        )


def test_staging_gets_rows_and_the_answers_to_expect(lived, keys, registry):
    rows = versions.golden_of_version(registry, "flight_delay", lived.version, trusted=keys / "trusted")
    assert rows["dataframe_split"]["columns"] == list(FLIGHT_DELAY.features)
    assert len(rows["predictions"]) == len(rows["dataframe_split"]["data"]) == 50
    assert np.isfinite(rows["predictions"]).all()


def test_aliases_show_the_desired_state(lived, registry):
    versions.project_aliases(registry, ReleaseState("flight_delay", champion=lived.version))
    found = registry._client.get_registered_model("flight_delay").aliases
    assert {name: int(number) for name, number in found.items()} == {"champion": lived.version}
