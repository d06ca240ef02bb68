from __future__ import annotations

from typing import get_args

import pytest

from include.declarations import AnyGate, Improvement, Overfitting, SignatureCompatibility, Threshold
from include.declarations.risk import STANDARD_KINDS
from include.errors import DataError, GateFailed, ModelError, ServiceUnavailable
from include.modeling.evaluation.evidence import Evidence, Measurement
from include.modeling.gates import GATES, MANDATORY, failed, inconclusive, judge_gates, measure_gates
from include.modeling.gates.performance import ThresholdGate
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY
from tests.include.declarations.test_risk import risk
from tests.include.modeling.gates.conftest import EVIDENCE, against_champion

# Without the standard gates, which are measured elsewhere.
WITHOUT = risk("low", switched_off=dict.fromkeys(STANDARD_KINDS, "Not here."))
USE_CASE = FLIGHT_DELAY.model_copy(
    update={
        "risk": WITHOUT,
        "gates": (
            Threshold(metric="roc_auc", minimum=0.62),
            Improvement(metric="log_loss", minimum_gain=0.002),
            Overfitting(metric="roc_auc", maximum_gap=0.15, severity="warn"),
        ),
    }
)


class Context:
    """Evaluation context of gates whose measurement is patched."""

    use_case = USE_CASE.model_copy(update={"gates": (Threshold(metric="roc_auc", minimum=0.62),)})
    champion = None


def with_measurements(**measurements):
    changes = {f"{name}/block": measurement for name, measurement in measurements.items()}
    return EVIDENCE.model_copy(update={"measurements": {**EVIDENCE.measurements, **changes}})


def raising(error):
    def fail(*_):
        raise error

    return fail


def test_table_has_every_declared_gate():
    (union, _) = get_args(AnyGate)
    assert set(GATES) == set(get_args(union))


def test_verdicts_are_of_declared_then_mandatory_gates():
    declared = ["threshold_roc_auc", "improvement_log_loss", "overfitting_roc_auc"]
    standard = ["calibration", "leakage", "robustness", "data_likeness", "risk"]
    assert [verdict.gate for verdict in judge_gates(USE_CASE, EVIDENCE)] == [*declared, *standard, *MANDATORY]


def test_declared_signature_replaces_the_mandatory_one():
    signature = SignatureCompatibility(severity="warn")
    verdicts = judge_gates(USE_CASE.model_copy(update={"gates": (signature,)}), EVIDENCE)
    severities = {verdict.gate: verdict.severity for verdict in verdicts if verdict.severity != "info"}
    assert severities == dict.fromkeys(MANDATORY, "block") | {"signature": "warn"}


def test_failing_gates_do_not_hide_each_other():
    different = Measurement(figures={"largest_gap": 1.0}, rows=50)
    incompatible = Measurement(figures={"champion": 3}, items=({"column": "hour", "why": "is required now"},))
    determined = Measurement(figures={"determinants": 1, "finding": "the label is known"}, rows=50)
    evidence = with_measurements(
        golden=different, parity=different, signature=incompatible, determination=determined
    )
    evidence = evidence.model_copy(update={"overlap": 3, "prediction_range": (-1.0, 2.0)})
    assert [verdict.gate for verdict in failed(judge_gates(USE_CASE, evidence))] == list(MANDATORY)


@pytest.mark.parametrize("gate", ["determination", "golden", "parity", "signature"])
def test_gate_with_a_problem_fails_and_names_it(gate):
    evidence = with_measurements(**{gate: Measurement(problem="the disk is full")})
    verdicts = judge_gates(USE_CASE, evidence)
    (verdict,) = failed(verdicts)
    assert (verdict.gate, verdict.reason) == (gate, "could not be judged: the disk is full")
    assert len(verdicts) == 14


def test_gates_without_a_measurement_fail():
    verdicts = judge_gates(USE_CASE, EVIDENCE.model_copy(update={"measurements": {}}))
    reasons = {verdict.gate: verdict.reason for verdict in failed(verdicts)}
    assert reasons.keys() == {"determination", "golden", "parity", "signature"}
    assert "declared after the evaluation" in reasons["parity"]


def test_error_in_the_code_of_a_gate_is_no_verdict(monkeypatch):
    monkeypatch.setattr(ThresholdGate, "judge", raising(ZeroDivisionError("division by zero")))
    with pytest.raises(ZeroDivisionError):
        judge_gates(USE_CASE, EVIDENCE)
    for gate in MANDATORY.values():
        monkeypatch.setattr(gate, "measure", raising(KeyError("origin")))
    with pytest.raises(KeyError):
        measure_gates(Context)


@pytest.mark.parametrize("error", [DataError, ModelError, GateFailed])
def test_error_of_data_or_model_fails_its_gate_only(monkeypatch, error):
    monkeypatch.setattr(ThresholdGate, "judge", raising(error("no rows")))
    (verdict,) = failed(judge_gates(USE_CASE, EVIDENCE))
    assert (verdict.gate, verdict.reason) == ("threshold_roc_auc", "could not be judged: no rows")


@pytest.mark.parametrize("error", [DataError, ModelError])
def test_error_while_measuring_is_the_problem_of_its_gate(monkeypatch, error):
    for gate in MANDATORY.values():
        monkeypatch.setattr(gate, "measure", lambda *_: None)
    monkeypatch.setattr(ThresholdGate, "measure", raising(error("no rows")))
    assert measure_gates(Context) == {"threshold_roc_auc/block": Measurement(problem="no rows")}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ServiceUnavailable("MLflow is away"), "MLflow is away"),
        (MemoryError("Unable to allocate 9 GiB"), "gate threshold_roc_auc/block was cut short: MemoryError"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
    ids=["service", "memory", "disk"],
)
def test_transient_error_while_measuring_is_no_verdict(monkeypatch, error, message):
    for gate in MANDATORY.values():
        monkeypatch.setattr(gate, "measure", lambda *_: None)
    monkeypatch.setattr(ThresholdGate, "measure", raising(error))
    with pytest.raises(ServiceUnavailable, match=message):
        measure_gates(Context)


def test_failed_gate_of_severity_warn_does_not_block():
    metrics = EVIDENCE.metrics | {"train": {"roc_auc": 1.0, "log_loss": 0.0}}
    verdicts = judge_gates(USE_CASE, EVIDENCE.model_copy(update={"metrics": metrics}))
    assert [verdict.gate for verdict in verdicts if verdict.outcome == "fail"] == ["overfitting_roc_auc"]
    assert not failed(verdicts)


def test_inconclusive_gate_is_not_failed():
    verdicts = judge_gates(USE_CASE, against_champion(lower=0.0, upper=0.1))
    assert [verdict.gate for verdict in inconclusive(verdicts)] == ["improvement_log_loss"]
    assert not failed(verdicts)


def test_good_candidate_passes_every_gate():
    verdicts = judge_gates(USE_CASE, against_champion())
    assert (failed(verdicts), inconclusive(verdicts)) == ((), ())


def test_evidence_travels_as_json():
    evidence = against_champion(overlap=None)
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence


@pytest.mark.parametrize(("level", "severity"), [(None, "warn"), ("medium", "block")])
def test_uncertain_standard_gate_asks_if_a_risk_is_declared(level, severity):
    use_case = FLIGHT_DELAY.model_copy(
        update={"gates": (Threshold(metric="roc_auc", minimum=0.62),), "risk": level and risk(level)}
    )
    champion = against_champion(confidence=0.9, units=4)
    measurement = Measurement(items=({"feature": "hour", "score": None},), rows=4)
    evidence = champion.model_copy(update={"measurements": {"leakage/block": measurement}})
    verdicts = {verdict.gate: verdict for verdict in judge_gates(use_case, evidence)}
    name = "improvement_log_loss" if level else "non_inferiority_log_loss"
    for verdict in (verdicts[name], verdicts["leakage"]):
        assert (verdict.outcome, verdict.severity) == ("inconclusive", severity), verdict
        assert ("no person is asked" in verdict.reason) is (level is None)
