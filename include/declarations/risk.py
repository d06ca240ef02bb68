"""Risk of a use case, and the gates that follow from it without being declared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

from pydantic import Field, StringConstraints, model_validator

from include.declarations.base import Declaration, Name, Share, require_known
from include.declarations.gates.base import Gate
from include.declarations.gates.behaviour import Leakage
from include.declarations.gates.performance import Calibration, Improvement, NonInferiority, Overfitting
from include.declarations.metrics import baseline_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations.metrics import Metric, Task

Level = Literal["low", "medium", "high"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
# A metric of each task whose value in training and test can be compared in the same unit everywhere.
COMPARABLE: dict[Task, Metric] = {
    "binary": "roc_auc", "multiclass": "roc_auc", "regression": "r2", "anomaly": "roc_auc",
}  # fmt: skip
STANDARD_KINDS = ("improvement", "overfitting", "calibration", "leakage", "robustness", "data_likeness")
NOT_FOR: dict[Task, dict[str, str]] = {
    "binary": {},
    "multiclass": {},
    "regression": {},
    "anomaly": {
        "calibration": "a score is no probability",
        "leakage": "there is no label that a feature could hold",
    },
}


class Risk(Declaration):
    """
    What a wrong prediction can do, as a reviewer judged it on a day.

    The limits of the standard gates follow from it: `improvement`, `overfitting`, `calibration`, `leakage`,
    `robustness` and `data_likeness`. With a `low` level they only warn. With `medium` they block; with `high`
    their limits are narrower, and a person other than the one who started the training approves each
    candidate. A declared gate of the same kind replaces a standard one; `switched_off` names those that are
    not measured, each with the reason, which stands on the certificate.

    Without a declared risk the standard gates refuse gross faults only: see `UNASSESSED`.
    """

    level: Level
    impact: Text
    reviewer: Text
    reviewed: date
    switched_off: Mapping[Name, Text] = {}

    @model_validator(mode="after")
    def _names_gates(self) -> Self:
        require_known(self.switched_off, STANDARD_KINDS, "switched_off")
        # East of UTC the day begins earlier.
        if self.reviewed > datetime.now(UTC).date() + timedelta(days=1):
            raise ValueError(f"reviewed: {self.reviewed} is in the future")
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
    """
    Limits of the standard gates of one level of risk.

    Attributes
    ----------
    severity : str
        Severity of the gates, but of those in `advisory`, which warn.
    confidence : float
        Confidence of the comparison with the champion.
    overfitting : float
        Gap of ROC AUC, or of R².
    calibration : float
        Expected calibration error: of a probability, or of a mean as a part of the target's deviation.
    leakage, leakage_r2 : float
        ROC AUC, or R² of a regression, of a single feature.
    flips : float
        Share of the decisions that a little noise changes.
    unlike : float
        Share of the importance whose features are distributed otherwise in production.
    """

    severity: Literal["block", "warn"]
    confidence: float = Field(gt=0.5, lt=1)
    overfitting: float
    calibration: float
    leakage: float
    leakage_r2: float
    flips: float
    unlike: float
    advisory: tuple[str, ...] = ()

    def severity_of(self, kind: str) -> Literal["block", "warn"]:
        """Return the severity of a standard gate."""
        return "warn" if kind in self.advisory else self.severity


LIMITS: dict[Level, RiskLimits] = {
    "low": RiskLimits(
        severity="warn", confidence=0.8, overfitting=0.2, calibration=0.15, leakage=0.95, leakage_r2=0.98,
        flips=0.1, unlike=0.5,
    ),
    "medium": RiskLimits(
        severity="block", confidence=0.9, overfitting=0.15, calibration=0.1, leakage=0.9, leakage_r2=0.95,
        flips=0.05, unlike=0.5,
    ),
    "high": RiskLimits(
        severity="block", confidence=0.95, overfitting=0.1, calibration=0.05, leakage=0.85, leakage_r2=0.9,
        flips=0.02, unlike=0.3,
    ),
}  # fmt: skip
# Of a use case whose risk is not declared. What sound models of few rows may do is a warning; a model
# is refused that loses more than a margin on the champion, holds the label, or cannot predict new rows.
UNASSESSED = RiskLimits(
    severity="block", confidence=0.9, overfitting=0.2, calibration=0.15, leakage=0.98, leakage_r2=0.995,
    flips=0.2, unlike=0.5, advisory=("overfitting", "calibration", "data_likeness"),
)  # fmt: skip


class StandardRobustness(Gate):
    """
    Rows with missing values, unseen texts and a little noise are predicted, within the declared range.

    Missing values are tried in columns that have some in the training rows, noise of 1 % of the deviation in
    numbers; noise flips at most `maximum_flips` of the decisions. Of several classes, the decision is the
    most probable one. A prediction of a regression flips if it moves by more than a tenth of the standard
    deviation of the training target.
    """

    kind: Literal["robustness"] = "robustness"
    maximum_flips: float
    rows: int = 500


class DataLikeness(Gate):
    """
    The training rows are distributed as the newest rows that were predicted, or that are to be predicted.

    A feature is unlike if its distance (Kolmogorov-Smirnov of numbers, total variation of others) or the
    difference of its shares of missing values is at least `minimum_distance`, and chance does not explain
    that. A person is asked if such features have more than `maximum_share` of the importance.
    """

    kind: Literal["data_likeness"] = "data_likeness"
    maximum_share: Share
    minimum_distance: Share = 0.3
    rows: int = 5_000


class NotMeasured(Gate):
    """A standard gate that is not measured, with the reason for its verdict."""

    severity: Literal["block", "warn", "info"] = "info"
    reason: str


def standard_gates(use_case: ReviewedUseCase) -> tuple[Gate, ...]:
    """Return the gates that apply without being declared, with the limits of the use case's risk."""
    risk = use_case.risk
    limits = UNASSESSED if risk is None else LIMITS[risk.level]
    switched_off = {} if risk is None else risk.switched_off
    declared = {gate.kind for gate in use_case.gates}
    if "non_inferiority" in declared:
        declared.add("improvement")
    built = _build_gates(use_case, limits)
    gates: list[Gate] = []
    for kind in STANDARD_KINDS:
        unsuited = _why_unsuited(use_case, kind)
        if kind in declared:
            continue
        if kind in switched_off:
            gates.append(NotMeasured(kind=kind, reason=f"switched off: {switched_off[kind]}"))
        elif unsuited:
            gates.append(NotMeasured(kind=kind, reason=unsuited))
        else:
            gates.append(built[kind])
    return tuple(gates)


def _why_unsuited(use_case: ReviewedUseCase, kind: str) -> str:
    """Return why a standard gate makes no sense for a use case; empty if it does."""
    reason = NOT_FOR[use_case.task].get(kind)
    if reason is not None:
        article = "an" if use_case.task == "anomaly" else "a"
        return f"not for {article} {use_case.task} task: {reason}"
    if kind == "calibration" and use_case.task == "regression" and baseline_quantile(use_case.metric):
        return (
            f"not for a model that is judged by {use_case.metric}: it predicts a median or quantile, and the "
            "gate compares means"
        )
    return ""


def _build_gates(use_case: ReviewedUseCase, limits: RiskLimits) -> dict[str, Gate]:
    """Return the standard gates by kind."""
    severity = limits.severity_of
    comparison = NonInferiority if use_case.risk is None else Improvement
    is_number = use_case.task == "regression"
    # A number may well follow from one feature, as the duration of a flight from its distance.
    leakage_severity = "warn" if is_number and use_case.risk is None else severity("leakage")
    gates = (
        Overfitting(
            metric=COMPARABLE[use_case.task], maximum_gap=limits.overfitting, severity=severity("overfitting")
        ),
        Calibration(maximum_error=limits.calibration, severity=severity("calibration")),
        Leakage(maximum=limits.leakage_r2 if is_number else limits.leakage, severity=leakage_severity),
        StandardRobustness(maximum_flips=limits.flips, severity=severity("robustness")),
        DataLikeness(maximum_share=limits.unlike, severity=severity("data_likeness")),
    )
    champion = comparison(
        metric=use_case.metric, confidence=limits.confidence, severity=severity("improvement")
    )
    return {"improvement": champion} | {gate.kind: gate for gate in gates}
