"""Judge a candidate: evidence in, verdicts out; every gate speaks, none hides another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from include.declarations import GREATER_IS_BETTER, Improvement, Overfitting, Threshold

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.declarations import AnyGate, UseCase
    from include.modeling.evidence import Evidence

Outcome = Literal["pass", "fail", "inconclusive"]
SAME_ANSWER = 1e-9


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one gate says of a candidate, why, and on which figures."""

    gate: str
    outcome: Outcome
    severity: Literal["block", "warn", "info"]
    reason: str
    figures: Mapping[str, float | int | str]


def judge(use_case: UseCase, evidence: Evidence) -> tuple[Verdict, ...]:
    """Return the verdict of every declared gate, and of those that always stand: overlap, parity, range."""
    declared = tuple(_declared(gate, evidence) for gate in use_case.gates)
    return (*declared, overlap(evidence), parity(evidence), prediction_range(use_case, evidence))


def blocked(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts that stop the candidate; none means that it may go on."""
    return tuple(verdict for verdict in verdicts if (verdict.severity, verdict.outcome) == ("block", "fail"))


def undecided(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the blocking gates that could not decide: a person has to."""
    return tuple(
        verdict for verdict in verdicts if (verdict.severity, verdict.outcome) == ("block", "inconclusive")
    )


def threshold(gate: Threshold, evidence: Evidence) -> Verdict:
    """Pass a metric on the test rows that lies within the declared bounds, bounds included."""
    name = f"threshold_{gate.metric}"
    value = evidence.metrics["test"].get(gate.metric)
    bounds = {"minimum": gate.minimum, "maximum": gate.maximum}
    figures: dict[str, float | int | str] = {key: bound for key, bound in bounds.items() if bound is not None}
    if value is None:
        return Verdict(name, "fail", gate.severity, f"{gate.metric} is undefined on the test rows", figures)
    figures["value"] = value
    if gate.minimum is not None and value < gate.minimum:
        reason = f"{gate.metric} {value:.4f} is under the minimum {gate.minimum:g}"
        return Verdict(name, "fail", gate.severity, reason, figures)
    if gate.maximum is not None and value > gate.maximum:
        reason = f"{gate.metric} {value:.4f} is over the maximum {gate.maximum:g}"
        return Verdict(name, "fail", gate.severity, reason, figures)
    return Verdict(name, "pass", gate.severity, f"{gate.metric} {value:.4f} is within its bounds", figures)


def improvement(gate: Improvement, evidence: Evidence) -> Verdict:
    """
    Pass a gain that is surely at least what is asked for, fail one that is surely less.

    What is asked for rises with every challenger refused since the last promotion, so that many tries do
    not pass by luck. In between, the verdict is inconclusive: a person decides.
    """
    name = f"improvement_{gate.metric}"
    if evidence.champion is None:
        return Verdict(name, "pass", gate.severity, "there is no champion yet", {})
    required = gate.minimum_gain + gate.price_per_attempt * evidence.refusals
    figures: dict[str, float | int | str] = {"required": required, "refusals": evidence.refusals}
    found = (g for g in evidence.champion.gains if (g.metric, g.confidence) == (gate.metric, gate.confidence))
    gain = next(found, None)
    if gain is None:
        reason = f"{gate.metric} could not be compared with champion {evidence.champion.version}"
        return Verdict(name, "fail", gate.severity, reason, figures)
    figures |= {"champion": evidence.champion.version, "gain": gain.value, "method": gain.method}
    figures |= {"lower": gain.lower, "upper": gain.upper, "confidence": gain.confidence}
    outcome: Outcome = "inconclusive"
    if gain.lower >= required:
        outcome = "pass"
    elif gain.upper < required:
        outcome = "fail"
    reason = (
        f"{gate.metric} gains {gain.value:+.5f} on champion {evidence.champion.version} "
        f"({gain.lower:+.5f} to {gain.upper:+.5f} at {gain.confidence:.0%}), {required:+.5f} required"
    )
    return Verdict(name, outcome, gate.severity, reason, figures)


def overfitting(gate: Overfitting, evidence: Evidence) -> Verdict:
    """Fail a metric that is better in training than on the test rows by more than the maximum gap."""
    name = f"overfitting_{gate.metric}"
    train, test = (evidence.metrics[split].get(gate.metric) for split in ("train", "test"))
    figures: dict[str, float | int | str] = {"maximum_gap": gate.maximum_gap}
    if train is None or test is None:
        return Verdict(name, "fail", gate.severity, f"{gate.metric} is undefined on a split", figures)
    gap = train - test if gate.metric in GREATER_IS_BETTER else test - train
    figures |= {"train": train, "test": test, "gap": gap}
    reason = f"{gate.metric} is {gap:+.4f} better in training ({train:.4f}) than in the test ({test:.4f})"
    return Verdict(name, "fail" if gap > gate.maximum_gap else "pass", gate.severity, reason, figures)


def overlap(evidence: Evidence) -> Verdict:
    """Fail if a test row was in the training rows of the candidate or of its champion."""
    figures: dict[str, float | int | str] = {"own": evidence.overlap, "test_rows": evidence.rows["test"]}
    if evidence.overlap:
        reason = f"the candidate was trained on {evidence.overlap} of its {evidence.rows['test']} test rows"
        return Verdict("overlap", "fail", "block", reason, figures)
    if evidence.champion is None:
        return Verdict("overlap", "pass", "block", "no test row was trained on", figures)
    figures["champion"] = evidence.champion.version
    if evidence.champion.overlap is None:
        reason = f"the training rows of champion {evidence.champion.version} are not known any more"
        return Verdict("overlap", "inconclusive", "block", reason, figures)
    figures["champions"] = evidence.champion.overlap
    if evidence.champion.overlap:
        reason = f"champion {evidence.champion.version} was trained on {evidence.champion.overlap} test rows"
        return Verdict("overlap", "fail", "block", reason, figures)
    return Verdict("overlap", "pass", "block", "neither model has seen a test row", figures)


def parity(evidence: Evidence) -> Verdict:
    """Fail if the packaged model answers otherwise than the one in memory did."""
    figures = {"rows": evidence.parity_rows, "largest_gap": evidence.parity_gap, "allowed": SAME_ANSWER}
    same = evidence.parity_rows > 0 and evidence.parity_gap <= SAME_ANSWER
    reason = f"the packaged model differs by {evidence.parity_gap:.3g} on {evidence.parity_rows} rows"
    return Verdict("parity", "pass" if same else "fail", "block", reason, figures)


def prediction_range(use_case: UseCase, evidence: Evidence) -> Verdict:
    """Fail if a prediction of a test row lies outside of what the use case declares possible."""
    (low, high), (lowest, highest) = use_case.prediction_range, evidence.answers
    inside = low <= lowest and highest <= high
    reason = f"predictions lie in {lowest:.4g} to {highest:.4g}; {low:g} to {high:g} is declared"
    figures = {"lowest": lowest, "highest": highest, "minimum": low, "maximum": high}
    return Verdict("prediction_range", "pass" if inside else "fail", "block", reason, figures)


def _declared(gate: AnyGate, evidence: Evidence) -> Verdict:
    match gate:
        case Threshold():
            return threshold(gate, evidence)
        case Improvement():
            return improvement(gate, evidence)
        case Overfitting():
            return overfitting(gate, evidence)
