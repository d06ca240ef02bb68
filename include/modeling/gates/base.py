"""Verdict of a promotion gate, and the base class of the gates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from include.declarations import Gate
from include.errors import GateFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.declarations import UseCase
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure, Measurement

VerdictOutcome = Literal["pass", "fail", "inconclusive"]
Declared = TypeVar("Declared", bound=Gate)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Outcome of one gate for one candidate, with the reason and the figures behind it."""

    gate: str
    outcome: VerdictOutcome
    severity: Literal["block", "warn", "info"]
    reason: str
    figures: Mapping[str, Figure]


class PromotionGate(ABC, Generic[Declared]):
    """
    A check that a candidate must pass before it is registered.

    Attributes
    ----------
    declared : Gate
        Name, severity and limits; the defaults for a mandatory gate that is not declared.
    use_case : UseCase
        Use case of the candidate.
    needs_process : bool
        Whether `measure` waits for an isolated process; such gates are measured last.
    asks_person : bool
        Whether an inconclusive verdict blocks until a person decides; else it warns.
    """

    needs_process: ClassVar[bool] = False
    asks_person: bool = True

    def __init__(self, declared: Declared, use_case: UseCase) -> None:
        self.declared = declared
        self.use_case = use_case

    @property
    def key(self) -> str:
        """Key of the gate's measurement in the evidence."""
        return f"{self.declared.name}/{self.declared.severity}"

    def measure(self, context: EvaluationContext) -> Measurement | None:
        """
        Return what the gate measures beyond the evidence of every candidate; None if nothing.

        Raises
        ------
        DataError
            If the rows do not allow the measurement.
        ModelError
            If the model raises, or returns no predictions.
        """
        return None

    @abstractmethod
    def judge(self, evidence: Evidence) -> Verdict:
        """
        Return the verdict on a candidate.

        Raises
        ------
        GateFailed
            If the evidence lacks what the gate needs.
        """

    def measurement(self, evidence: Evidence) -> Measurement:
        """
        Return what `measure` returned at the evaluation.

        Raises
        ------
        GateFailed
            If the gate was not measured, or could not be.
        """
        measurement = evidence.measurements.get(self.key)
        if measurement is None:
            raise GateFailed("it was declared after the evaluation; clear `evaluate`")
        if measurement.problem is not None:
            raise GateFailed(measurement.problem)
        return measurement

    def verdict(self, outcome: VerdictOutcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
        """Return a verdict with the declared name and severity."""
        severity = self.declared.severity
        if outcome == "inconclusive" and severity == "block" and not self.asks_person:
            severity = "warn"
            reason += "; no person is asked, since no risk is declared"
        return Verdict(self.declared.name, outcome, severity, reason, figures)


def failed(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts that block the candidate."""
    return _blocking(verdicts, "fail")


def inconclusive(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the blocking verdicts that a person has to decide."""
    return _blocking(verdicts, "inconclusive")


def _blocking(verdicts: Iterable[Verdict], outcome: VerdictOutcome) -> tuple[Verdict, ...]:
    return tuple(
        verdict for verdict in verdicts if verdict.severity == "block" and verdict.outcome == outcome
    )
