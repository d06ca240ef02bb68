"""Risk of a use case, and the gates that follow from it without being declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

from pydantic import Field, StringConstraints, model_validator

from include.declarations.base import Declaration, Name, require_known
from include.declarations.gates.base import Gate
from include.declarations.gates.behaviour import Leakage
from include.declarations.gates.performance import Calibration, Improvement, Overfitting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations.metrics import Metric, Task

Level = Literal["low", "medium", "high"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# A metric of each task whose value in training and test can be compared in the same unit everywhere.
COMPARABLE: dict[Task, Metric] = {
    "binary": "roc_auc", "multiclass": "roc_auc", "regression": "r2", "anomaly": "roc_auc",
}  # fmt: skip
STANDARD_KINDS = ("improvement", "overfitting", "calibration", "leakage", "robustness")
NOT_FOR: dict[Task, dict[str, str]] = {
    "binary": {},
    "multiclass": {
        "calibration": "it is measured of one probability per row",
        "leakage": "a single feature is scored against one number per row",
        "robustness": "a flip is defined for one number per row",
    },
    "regression": {"calibration": "a regression predicts no probability"},
    "anomaly": {
        "calibration": "a score is no probability",
        "leakage": "there is no label that a feature could hold",
        "robustness": "a flip is defined for a decision about a label; declare Robustness with a tolerance",
    },
}


class Risk(Declaration):
    """
    What a wrong prediction can do, as a reviewer judged it on a day.

    The standard gates follow from it without being declared: `improvement`, `overfitting`, `calibration`,
    `leakage` and `robustness`. With a `low` level they only warn. With `medium` they block; with `high` their
    limits are narrower, and a person other than the one who started the training approves each candidate. A
    declared gate of the same kind replaces a standard one; `switched_off` names those that are not measured,
    each with the reason, which stands on the certificate.
    """

    level: Level
    impact: Text
    reviewer: Text
    reviewed: date
    switched_off: Mapping[Name, Text] = {}

    @model_validator(mode="after")
    def _names_gates(self) -> Self:
        require_known(self.switched_off, STANDARD_KINDS, "switched_off")
        return self


class ReviewedUseCase(Protocol):
    """Part of a use case that the standard gates follow from."""

    @property
    def task(self) -> Task:
        """Binary, multiclass, regression or anomaly."""

    @property
    def metric(self) -> Metric:
        """Metric that the use case is judged by."""

    @property
    def gates(self) -> Sequence[Gate]:
        """Declared gates."""

    @property
    def risk(self) -> Risk | None:
        """Declared risk."""


class RiskLimits(Declaration):
    """Limits of the standard gates of one level of risk."""

    severity: Literal["block", "warn"]
    confidence: float = Field(gt=0.5, lt=1)
    overfitting: float
    calibration: float
    leakage: float
    flips: float


LIMITS: dict[Level, RiskLimits] = {
    "low": RiskLimits(
        severity="warn", confidence=0.8, overfitting=0.2, calibration=0.15, leakage=0.95, flips=0.1
    ),
    "medium": RiskLimits(
        severity="block", confidence=0.9, overfitting=0.15, calibration=0.1, leakage=0.9, flips=0.05
    ),
    "high": RiskLimits(
        severity="block", confidence=0.95, overfitting=0.1, calibration=0.05, leakage=0.85, flips=0.02
    ),
}


class StandardRobustness(Gate):
    """
    Rows with missing values, unseen texts and a little noise are predicted, within the declared range.

    Missing values are tried in columns that have some in the training rows, noise of 1 % of the deviation in
    numbers; noise flips at most `maximum_flips` of the decisions. A prediction of a regression flips if it
    moves by more than a tenth of the standard deviation of the training target.
    """

    kind: Literal["robustness"] = "robustness"
    maximum_flips: float
    rows: int = 500


class NotMeasured(Gate):
    """A standard gate that is not measured, with the reason for its verdict."""

    severity: Literal["block", "warn", "info"] = "info"
    reason: str


def standard_gates(use_case: ReviewedUseCase) -> tuple[Gate, ...]:
    """Return the gates that follow from the risk of a use case; none where no risk is declared."""
    risk = use_case.risk
    if risk is None:
        return ()
    declared = {gate.kind for gate in use_case.gates}
    built = {gate.kind: gate for gate in _build_gates(use_case, LIMITS[risk.level])}
    gates: list[Gate] = []
    article = "an" if use_case.task == "anomaly" else "a"
    for kind in STANDARD_KINDS:
        unsuited = NOT_FOR[use_case.task].get(kind)
        if kind in declared:
            continue
        if kind in risk.switched_off:
            gates.append(NotMeasured(kind=kind, reason=f"switched off: {risk.switched_off[kind]}"))
        elif unsuited is not None:
            gates.append(NotMeasured(kind=kind, reason=f"not for {article} {use_case.task} task: {unsuited}"))
        else:
            gates.append(built[kind])
    return tuple(gates)


def _build_gates(use_case: ReviewedUseCase, limits: RiskLimits) -> tuple[Gate, ...]:
    severity = limits.severity
    return (
        Improvement(metric=use_case.metric, confidence=limits.confidence, severity=severity),
        Overfitting(metric=COMPARABLE[use_case.task], maximum_gap=limits.overfitting, severity=severity),
        Calibration(maximum_error=limits.calibration, severity=severity),
        Leakage(maximum=limits.leakage, severity=severity),
        StandardRobustness(maximum_flips=limits.flips, severity=severity),
    )
