from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from include.declarations import Leakage, NonInferiority, Risk, Threshold, UseCase
from include.declarations.risk import LIMITS, STANDARD_KINDS, UNASSESSED, NotMeasured, standard_gates
from include.use_cases.air_time import USE_CASE as AIR_TIME
from include.use_cases.delay_band import USE_CASE as DELAY_BAND
from include.use_cases.flight_delay import USE_CASE as FLIGHT_DELAY


def risk(level="medium", **changes):
    return Risk(level=level, impact="A late call.", reviewer="ann", reviewed=date(2013, 7, 1), **changes)


def gates(use_case=FLIGHT_DELAY, *, declared=(), level="medium", **changes):
    update = {"gates": declared, "risk": risk(level, **changes)}
    return {gate.kind: gate for gate in standard_gates(use_case.model_copy(update=update))}


def test_use_case_without_a_risk_has_lenient_gates():
    standard = {gate.kind: gate for gate in standard_gates(FLIGHT_DELAY.model_copy(update={"gates": ()}))}
    assert tuple(standard) == ("non_inferiority", *STANDARD_KINDS[1:])
    blocking = {kind for kind, gate in standard.items() if gate.severity == "block"}
    assert blocking == {"non_inferiority", "leakage", "robustness"}
    assert standard["leakage"].maximum == UNASSESSED.leakage > LIMITS["low"].leakage
    numbers = {gate.kind: gate for gate in standard_gates(AIR_TIME.model_copy(update={"gates": ()}))}
    assert numbers["leakage"].severity == "warn"


def test_use_case_without_a_gate_is_judged_by_the_standard_ones():
    use_case = UseCase(**dict(FLIGHT_DELAY) | {"gates": ()})
    assert len(standard_gates(use_case)) == len(STANDARD_KINDS)


@pytest.mark.parametrize(("level", "severity"), [("low", "warn"), ("medium", "block"), ("high", "block")])
def test_level_gives_severity_and_limits(level, severity):
    standard = gates(level=level)
    assert tuple(standard) == STANDARD_KINDS
    assert {gate.severity for gate in standard.values()} == {severity}
    assert standard["leakage"].maximum == LIMITS[level].leakage


def test_limits_narrow_with_the_risk():
    low, medium, high = (LIMITS[level] for level in ("low", "medium", "high"))
    for name in ("overfitting", "calibration", "leakage", "leakage_r2", "flips"):
        assert getattr(low, name) > getattr(medium, name) > getattr(high, name)
    assert low.confidence < medium.confidence < high.confidence


def test_declared_gate_replaces_a_standard_one():
    standard = gates(declared=(Leakage(maximum=0.8), Threshold(metric="roc_auc", minimum=0.6)))
    assert tuple(standard) == ("improvement", "overfitting", "calibration", "robustness", "data_likeness")
    compared = gates(declared=(NonInferiority(metric="log_loss"),))
    assert "improvement" not in compared


def test_gate_that_is_switched_off_keeps_its_reason():
    standard = gates(switched_off={"leakage": "The price is fixed by contract."})
    assert standard["leakage"].reason == "switched off: The price is fixed by contract."
    with pytest.raises(ValueError, match="switched_off: unknown leakige"):
        risk(switched_off={"leakige": "No."})
    with pytest.raises(ValueError, match="switched_off"):
        risk(switched_off={"leakage": " "})


@pytest.mark.parametrize("use_case", [DELAY_BAND, AIR_TIME.model_copy(update={"metric": "rmse"})])
def test_each_gate_is_for_several_classes_and_for_numbers(use_case):
    assert not [gate for gate in gates(use_case).values() if isinstance(gate, NotMeasured)]


def test_gate_that_is_not_for_the_task_says_why():
    standard = gates(AIR_TIME)
    assert {kind for kind, gate in standard.items() if isinstance(gate, NotMeasured)} == {"calibration"}
    assert "judged by mae: it predicts a median" in standard["calibration"].reason
    odd = gates(FLIGHT_DELAY.model_copy(update={"task": "anomaly", "metric": "roc_auc"}))
    assert "not for an anomaly task" in odd["leakage"].reason
    assert odd["robustness"].maximum_flips == LIMITS["medium"].flips


def test_risk_that_will_be_reviewed_is_refused():
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    Risk(level="high", impact="A late call.", reviewer="ann", reviewed=tomorrow)
    with pytest.raises(ValidationError, match="is in the future"):
        Risk(level="high", impact="A late call.", reviewer="ann", reviewed=tomorrow + timedelta(days=1))
