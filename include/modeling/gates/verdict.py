"""What a gate says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.declarations import Gate
    from include.modeling.evaluation.evidence import Evidence, Figure, Measurement

VerdictOutcome = Literal["pass", "fail", "inconclusive"]
SAME_ANSWER = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says of a candidate, why, and on which figures."""

    gate: str
    outcome: VerdictOutcome
    severity: Literal["block", "warn", "info"]
    reason: str
    figures: Mapping[str, Figure]


def verdict(gate: Gate | str, outcome: VerdictOutcome, reason: str, figures: Mapping[str, Figure]) -> Verdict:
    """Return what a declared gate says, or one that always stands, which blocks."""
    if isinstance(gate, str):
        return Verdict(gate, outcome, "block", reason, figures)
    return Verdict(gate.name, outcome, gate.severity, reason, figures)


def not_measured(gate: Gate | str, why: object) -> Verdict:
    """Return the failure of a gate that could not look."""
    return verdict(gate, "fail", f"could not be judged: {why}", {})


def failed(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts that stop the candidate; none means that it may go on."""
    return tuple(verdict for verdict in verdicts if (verdict.severity, verdict.outcome) == ("block", "fail"))


def inconclusive(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the blocking gates that could not decide: a person has to."""
    return tuple(
        verdict for verdict in verdicts if (verdict.severity, verdict.outcome) == ("block", "inconclusive")
    )


def key_of(gate: Gate | str) -> str:
    """Return under which key the evidence holds what was measured for a gate."""
    return gate if isinstance(gate, str) else f"{gate.name}/{gate.severity}"


def measurement_of(gate: Gate | str, evidence: Evidence) -> Measurement:
    """
    Return what was measured for a gate.

    :raises DataError: if it was not, or could not be
    """
    found = evidence.measurements.get(key_of(gate))
    if found is None:
        raise DataError("it was declared after the evaluation; clear `evaluate`")
    if found.problem is not None:
        raise DataError(found.problem)
    return found
