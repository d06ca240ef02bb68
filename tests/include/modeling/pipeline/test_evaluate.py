from __future__ import annotations

import pytest

from include.declarations import Improvement
from include.errors import CertificateInvalid
from include.modeling import gates
from include.modeling.gates.performance import ImprovementGate
from include.modeling.pipeline import evaluate, train
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.modeling.pipeline.conftest import made_of, own, run_pipeline, small


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
    *_, version = run_pipeline(new_workspace, flights(days=25), new_run())
    frame = flights(days=80, seed=3)
    _, evidence, _, newer = run_pipeline(new_workspace, frame, new_run(), champion_version=version)
    assert newer > version
    assert evidence.champion.version == version
    assert evidence.champion.metrics.keys() == evidence.metrics["test"].keys()
    assert [gain.metric for gain in evidence.champion.gains] == ["log_loss"]
    assert evidence.champion.overlap == 0


def test_champion_is_compared_with_its_copy_and_with_rows_it_saw(new_workspace, flights, new_run):
    frame = flights("2013-01-01", 80)
    *_, version = run_pipeline(new_workspace, frame, new_run())

    def evaluate_candidate(frame):
        candidate = train.train_candidate(
            new_workspace(), small(), frame, run_id=new_run(), provenance=made_of(frame)
        )
        return evaluate.evaluate_candidate(new_workspace(), candidate, frame, champion_version=version)

    copy = evaluate_candidate(frame)
    gate = ImprovementGate(Improvement(metric="log_loss", minimum_gain=0.001), own(FLIGHT_DELAY))
    assert gate.judge(copy).outcome == "fail"
    assert copy.champion.overlap == 0
    overlapping = evaluate_candidate(flights("2013-01-01", 45))
    assert overlapping.champion.overlap == overlapping.rows["test"]
    failed = gates.failed(gates.judge_gates(own(FLIGHT_DELAY), overlapping))
    assert "overlap" in {verdict.gate for verdict in failed}
