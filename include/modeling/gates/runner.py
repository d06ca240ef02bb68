"""The tables of all gates, and their measurement and judgement for one candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from include.declarations import (
    Budget,
    BusinessValue,
    Calibration,
    Fairness,
    FlaggedShare,
    Gate,
    GoldenPredictions,
    Improvement,
    InjectedAnomalies,
    Leakage,
    NonInferiority,
    Overfitting,
    Robustness,
    SignatureCompatibility,
    Threshold,
)
from include.declarations.risk import DataLikeness, NotMeasured, StandardRobustness, standard_gates
from include.errors import DataError, GateFailed, ModelError
from include.modeling.evaluation.evidence import Evidence, Measurement
from include.modeling.gates.anomalies import FlaggedShareGate, InjectedAnomaliesGate
from include.modeling.gates.budget import BudgetGate
from include.modeling.gates.business_value import BusinessValueGate
from include.modeling.gates.calibration import CalibrationGate
from include.modeling.gates.fairness import FairnessGate
from include.modeling.gates.golden_predictions import GoldenPredictionsGate
from include.modeling.gates.leakage import LeakageGate
from include.modeling.gates.likeness.gate import DataLikenessGate
from include.modeling.gates.mandatory import (
    DeterminationGate,
    GoldenRowsGate,
    NotMeasuredGate,
    OverlapGate,
    ParityGate,
    PredictionRangeGate,
    RiskGate,
)
from include.modeling.gates.performance import (
    ImprovementGate,
    NonInferiorityGate,
    OverfittingGate,
    ThresholdGate,
)
from include.modeling.gates.robustness import RobustnessGate, StandardRobustnessGate
from include.modeling.gates.signature import SignatureGate
from include.modeling.transient_errors import translate_transient
from include.storage.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import UseCase
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.gates.base import PromotionGate, Verdict

GATES: dict[type[Gate], type[PromotionGate[Any]]] = {
    Threshold: ThresholdGate,
    Improvement: ImprovementGate,
    NonInferiority: NonInferiorityGate,
    Overfitting: OverfittingGate,
    Calibration: CalibrationGate,
    Fairness: FairnessGate,
    Robustness: RobustnessGate,
    Leakage: LeakageGate,
    GoldenPredictions: GoldenPredictionsGate,
    Budget: BudgetGate,
    SignatureCompatibility: SignatureGate,
    BusinessValue: BusinessValueGate,
    InjectedAnomalies: InjectedAnomaliesGate,
    FlaggedShare: FlaggedShareGate,
}
STANDARD: dict[type[Gate], type[PromotionGate[Any]]] = {
    StandardRobustness: StandardRobustnessGate,
    DataLikeness: DataLikenessGate,
    NotMeasured: NotMeasuredGate,
}
# They apply to every anomaly task with their defaults; a declared gate of the same name replaces one.
ANOMALY_DEFAULTS: tuple[InjectedAnomalies | FlaggedShare, ...] = (InjectedAnomalies(), FlaggedShare())
# By their names. They apply to every use case and block; a declared gate of the same name replaces one.
MANDATORY: Mapping[str, type[PromotionGate[Any]]] = {
    "overlap": OverlapGate,
    "determination": DeterminationGate,
    "golden": GoldenRowsGate,
    "parity": ParityGate,
    "prediction_range": PredictionRangeGate,
    "signature": SignatureGate,
}

# Of the package, whatever its figures are.
PACKAGE_GATES = frozenset(
    {"golden", "parity", "prediction_range", "signature", "golden_predictions", "budget"}
)


def gates_of(use_case: UseCase) -> tuple[PromotionGate[Any], ...]:
    """Return the declared gates of a use case, the standard ones, then the mandatory ones."""
    names = {gate.name for gate in use_case.gates}
    gates: list[Gate] = list(use_case.gates)
    replaced = set(names)
    if use_case.label.is_absent:
        gates += [gate for gate in ANOMALY_DEFAULTS if gate.name not in names]
        # Without a label, no feature can hold it.
        replaced.add("determination")
    declared = [GATES[type(gate)](gate, use_case) for gate in gates]
    standard = [(GATES | STANDARD)[type(gate)](gate, use_case) for gate in standard_gates(use_case)]
    for gate in standard:
        gate.asks_person = use_case.risk is not None
    is_high = use_case.risk is not None and use_case.risk.level == "high"
    standard.append(RiskGate(Gate(kind="risk", severity="block" if is_high else "info"), use_case))
    mandatory = [
        gate_class(Gate(kind=name), use_case)
        for name, gate_class in MANDATORY.items()
        if name not in replaced
    ]
    return (*declared, *standard, *mandatory)


def measure_gates(context: EvaluationContext) -> dict[str, Measurement]:
    """
    Return what the gates measure of a candidate, by the gate's key.

    Gates that wait for an isolated process come last: the process works meanwhile.

    Raises
    ------
    ServiceUnavailable
        If memory, disk or a connection failed during a measurement.
    """
    measurements = {}
    gates = sorted(gates_of(context.use_case), key=lambda gate: gate.needs_process)
    step = f"{context.use_case.name}: measured"
    for gate in tracked(gates, step, len(gates), unit="gates"):
        measurement = _measure_safely(gate, context)
        if measurement is not None:
            measurements[gate.key] = measurement
    return measurements


def judge_gates(use_case: UseCase, evidence: Evidence) -> tuple[Verdict, ...]:
    """Return the verdict of every declared gate, then of every mandatory one."""
    return tuple(_judge_safely(gate, evidence) for gate in gates_of(use_case))


def judge_package(context: EvaluationContext) -> tuple[Verdict, ...]:
    """Return the verdicts of the gates that concern a package itself, and not how good the model is."""
    gates = [gate for gate in gates_of(context.use_case) if gate.declared.kind in PACKAGE_GATES]
    measurements = {}
    for gate in sorted(gates, key=lambda gate: gate.needs_process):
        measurement = _measure_safely(gate, context)
        if measurement is not None:
            measurements[gate.key] = measurement
    test = context.test
    evidence = Evidence(
        metrics={"train": {}, "test": {}},
        rows={name: split.total_rows for name, split in context.scored_splits.items()},
        overlap=0,
        prediction_range=(float(test.predictions.min()), float(test.predictions.max())),
        measurements=measurements,
    )
    return tuple(_judge_safely(gate, evidence) for gate in gates)


def _measure_safely(gate: PromotionGate[Any], context: EvaluationContext) -> Measurement | None:
    """
    Return the measurement, or the problem that prevents it.

    An error of the gate's own code is no fault of the candidate, and ends the task.
    """
    try:
        with translate_transient(f"The measurement for the gate {gate.key}"):
            return gate.measure(context)
    except (DataError, ModelError) as error:
        return Measurement(problem=str(error))


def _judge_safely(gate: PromotionGate[Any], evidence: Evidence) -> Verdict:
    """Return the verdict: a gate that lacks its measurement fails, and does not stop the others."""
    try:
        return gate.judge(evidence)
    except (DataError, ModelError, GateFailed) as error:
        return gate.verdict("fail", f"could not be judged: {error}", {})
