"""Judge how good a candidate is: by itself, against the champion, and beyond the rows it has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import GREATER_IS_BETTER
from include.modeling.evaluation.bootstrap import MINIMUM_DAYS
from include.modeling.gates.verdict import verdict

if TYPE_CHECKING:
    from include.declarations import Improvement, Overfitting, Threshold
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict, VerdictOutcome


def threshold(gate: Threshold, evidence: Evidence) -> Verdict:
    """Pass a metric on the test rows that lies within the declared bounds, bounds included."""
    value = evidence.metrics["test"].get(gate.metric)
    bounds = {"minimum": gate.minimum, "maximum": gate.maximum}
    figures: dict[str, Figure] = {key: bound for key, bound in bounds.items() if bound is not None}
    if value is None:
        return verdict(gate, "fail", f"{gate.metric} is undefined on the test rows", figures)
    figures["value"] = value
    outcome: VerdictOutcome = "pass"
    reason = f"{gate.metric} {value:.4f} is within its bounds"
    if gate.minimum is not None and value < gate.minimum:
        outcome, reason = "fail", f"{gate.metric} {value:.4f} is under the minimum {gate.minimum:g}"
    if gate.maximum is not None and value > gate.maximum:
        outcome, reason = "fail", f"{gate.metric} {value:.4f} is over the maximum {gate.maximum:g}"
    if gate.metric in evidence.intervals:
        lower, upper = figures["lower"], figures["upper"] = evidence.intervals[gate.metric]
        reason += f" ({lower:.4f} to {upper:.4f} over {evidence.days} days)"
    return verdict(gate, outcome, reason, figures)


def improvement(gate: Improvement, evidence: Evidence) -> Verdict:
    """
    Pass a gain that is surely at least what is asked for, fail one that is surely less.

    What is asked for rises with every failed attempt since the last promotion, so that many tries do not pass
    by luck. In between, and with too few test days to tell, the verdict is inconclusive: a person decides.
    """
    if evidence.champion is None:
        return verdict(gate, "pass", "there is no champion yet", {})
    required = gate.minimum_gain + gate.penalty_per_attempt * evidence.refusals
    figures: dict[str, Figure] = {"required": required, "refusals": evidence.refusals}
    found = (g for g in evidence.champion.gains if (g.metric, g.confidence) == (gate.metric, gate.confidence))
    gain = next(found, None)
    if gain is None:
        reason = f"{gate.metric} could not be compared with champion {evidence.champion.version}"
        return verdict(gate, "fail", reason, figures)
    figures |= {"champion": evidence.champion.version, "gain": gain.value, "method": gain.method}
    figures |= {"lower": gain.lower, "upper": gain.upper, "confidence": gain.confidence, "days": gain.days}
    reason = (
        f"{gate.metric} gains {gain.value:+.5f} on champion {evidence.champion.version} "
        f"({gain.lower:+.5f} to {gain.upper:+.5f} at {gain.confidence:.0%}), {required:+.5f} required"
    )
    if evidence.refusals and gate.penalty_per_attempt:
        reason += (
            f" ({gate.minimum_gain:g}, and {gate.penalty_per_attempt:g} for each failed attempt since the"
        )
        reason += f" last promotion: {evidence.refusals})"
    outcome: VerdictOutcome = "inconclusive"
    if gain.days < MINIMUM_DAYS:
        reason += f"; {gain.days} test days are too few to tell how much days differ"
    elif gain.lower >= required:
        outcome = "pass"
    elif gain.upper < required:
        outcome = "fail"
    return verdict(gate, outcome, reason, figures)


def overfitting(gate: Overfitting, evidence: Evidence) -> Verdict:
    """Fail a metric that is better in training than on the test rows by more than the maximum gap."""
    train, test = (evidence.metrics[split].get(gate.metric) for split in ("train", "test"))
    figures: dict[str, Figure] = {"maximum_gap": gate.maximum_gap}
    if train is None or test is None:
        return verdict(gate, "fail", f"{gate.metric} is undefined on a split", figures)
    gap = train - test if gate.metric in GREATER_IS_BETTER else test - train
    figures |= {"train": train, "test": test, "gap": gap}
    reason = f"{gate.metric} is {gap:+.4f} better in training ({train:.4f}) than in the test ({test:.4f})"
    return verdict(gate, "fail" if gap > gate.maximum_gap else "pass", reason, figures)
