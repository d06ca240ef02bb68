"""Measure for every gate, and let every gate speak; one that cannot look fails, and ends no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import (
    Budget,
    BusinessValue,
    Calibration,
    Fairness,
    GoldenPredictions,
    Improvement,
    Leakage,
    Overfitting,
    Robustness,
    SignatureCompatibility,
    Threshold,
)
from include.errors import DataError
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates import (
    calibration,
    fairness,
    golden_predictions,
    leakage,
    package,
    robustness,
    signature,
)
from include.modeling.gates import mandatory as standing
from include.modeling.gates.business_value import business_value
from include.modeling.gates.performance import improvement, overfitting, threshold
from include.modeling.gates.verdict import key_of, not_measured
from include.modeling.transient_errors import translate_transient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from include.declarations import AnyGate, Gate, UseCase
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.verdict import Verdict


def measure_gates(trial: EvaluationContext) -> Mapping[str, Measurement]:
    """
    Return what every gate needs to know of the candidate, by the gate's key.

    Those that wait for a fresh process come last, so that it works meanwhile.
    """
    asked: dict[str, Callable[[], Measurement | None]] = {
        key_of(gate): lambda gate=gate: _measured(gate, trial)  # type: ignore[misc]
        for gate in sorted(trial.use_case.gates, key=lambda gate: gate.kind == "budget")
    }
    standing: dict[str, Callable[[], Measurement | None]] = {
        "golden": lambda: package.measure_golden(trial),
        "signature": lambda: signature.measure(trial),
    }
    last: dict[str, Callable[[], Measurement | None]] = {"parity": lambda: package.measure_parity(trial)}
    found = {key: _measure_safely(key, look) for key, look in (standing | asked | last).items()}
    return {key: measurement for key, measurement in found.items() if measurement is not None}


def judge_gates(use_case: UseCase, evidence: Evidence) -> tuple[Verdict, ...]:
    """
    Return the verdict of every declared gate, and of those that always stand.

    These are overlap, golden rows, parity, range of the predictions and signature; all of them block, but for
    a signature that is declared otherwise.
    """
    standing_gates: dict[Gate | str, Callable[[], Verdict]] = {
        "overlap": lambda: standing.overlap(evidence),
        "golden": lambda: package.golden(evidence),
        "parity": lambda: package.parity(evidence),
        "prediction_range": lambda: standing.prediction_range(use_case, evidence),
    }
    if not any(isinstance(gate, SignatureCompatibility) for gate in use_case.gates):
        standing_gates["signature"] = lambda: signature.judge("signature", evidence)
    declared = (_judge_safely(gate, lambda gate=gate: _declared(gate, evidence)) for gate in use_case.gates)  # type: ignore[misc]
    return (*declared, *(_judge_safely(name, speak) for name, speak in standing_gates.items()))


def _measured(gate: AnyGate, trial: EvaluationContext) -> Measurement | None:
    match gate:
        case Calibration():
            return calibration.measure(gate, trial)
        case Fairness():
            return fairness.measure(gate, trial)
        case Robustness():
            return robustness.measure(gate, trial)
        case Leakage():
            return leakage.measure(gate, trial)
        case GoldenPredictions():
            return golden_predictions.measure(gate, trial)
        case Budget():
            return package.measure_budget(gate, trial)
    return None  # the others judge what is measured of every candidate


def _declared(gate: AnyGate, evidence: Evidence) -> Verdict:  # noqa: C901  one line for each gate
    match gate:
        case Threshold():
            return threshold(gate, evidence)
        case Improvement():
            return improvement(gate, evidence)
        case Overfitting():
            return overfitting(gate, evidence)
        case Calibration():
            return calibration.judge(gate, evidence)
        case Fairness():
            return fairness.judge(gate, evidence)
        case Robustness():
            return robustness.judge(gate, evidence)
        case Leakage():
            return leakage.judge(gate, evidence)
        case GoldenPredictions():
            return golden_predictions.judge(gate, evidence)
        case Budget():
            return package.budget(gate, evidence)
        case SignatureCompatibility():
            return signature.judge(gate, evidence)
        case BusinessValue():
            return business_value(gate, evidence)


def _measure_safely(key: str, look: Callable[[], Measurement | None]) -> Measurement | None:
    """Hold a DataError against the candidate; an accident is tried again, a mistake of ours ends the task."""
    try:
        with translate_transient(f"the measurement for {key}"):
            return look()
    except DataError as error:
        return Measurement(problem=str(error))


def _judge_safely(gate: Gate | str, speak: Callable[[], Verdict]) -> Verdict:
    """Fail a gate that was not measured; a mistake of ours is no verdict, and ends the task."""
    try:
        return speak()
    except DataError as error:
        return not_measured(gate, error)
