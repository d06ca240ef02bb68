"""Pipeline of a training DAG: train, evaluate, judge, certify and register, with a real MLflow."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from include.certificates import certificate
from include.declarations import Threshold
from include.errors import CertificateInvalid, ConflictError, GateFailed
from include.modeling import gates
from include.modeling.evaluation.evidence import Evidence
from include.modeling.pipeline import evaluate, train
from include.modeling.pipeline.workspace import TrainedCandidate
from include.modeling.registration import register, versions
from include.modeling.registry import load_version
from include.release.rollout import ReleaseState
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.pipeline.conftest import made_of, own, run_pipeline, small


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
    test = registered.frame[registered.frame["_airworthy_day"] >= "2013-02-20"]
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
            (registry.fetch_model(candidate.model_id, tmp_path / name) / certificate.FILE_NAME).read_bytes()
        )
    assert issued[0] == issued[1]


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
    with pytest.raises(ConflictError, match="was not trained on the snapshot"):
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
    assert not (
        registry.fetch_model(candidate.model_id, tmp_path / "fetched") / certificate.FILE_NAME
    ).exists()


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
