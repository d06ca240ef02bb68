"""Gates on the metrics: against bounds, against the champion, and in training against the test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeVar

from include.declarations import Improvement, NonInferiority, Overfitting, Threshold, is_greater_better
from include.modeling.evaluation.bootstrap import MINIMUM_UNITS, describe_units
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.modeling.evaluation.evidence import ChampionComparison, Evidence, Figure, Gain
    from include.modeling.gates.base import Verdict, VerdictOutcome

# Roundings of a metric, in units of the last place, that are no difference of two models.
MAX_ROUNDINGS = 64
# Gains between these bounds are shown as decimals.
MIN_DECIMAL = 1e-4
MAX_DECIMAL = 1e6
Compared = TypeVar("Compared", Improvement, NonInferiority)


class ThresholdGate(PromotionGate[Threshold]):
    """A metric on the test rows lies within declared bounds."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if the metric is undefined or out of bounds; a value at a bound passes."""
        metric = self.declared.metric
        minimum = self.declared.minimum
        maximum = self.declared.maximum
        bounds = {"minimum": minimum, "maximum": maximum}
        figures: dict[str, Figure] = {name: bound for name, bound in bounds.items() if bound is not None}
        value = evidence.metrics["test"].get(metric)
        if value is None:
            return self.verdict("fail", _describe_undefined(metric, evidence, ("test",)), figures)
        figures["value"] = value
        outcome: VerdictOutcome = "pass"
        reason = f"{metric} {value:.4f} is within its bounds"
        if minimum is not None and value < minimum:
            outcome = "fail"
            reason = f"{metric} {value:.4f} is under the minimum {minimum:g}"
        if maximum is not None and value > maximum:
            outcome = "fail"
            reason = f"{metric} {value:.4f} is over the maximum {maximum:g}"
        if metric in evidence.intervals:
            lower, upper = evidence.intervals[metric]
            figures |= {"lower": lower, "upper": upper}
            units = describe_units(evidence.units, evidence.unit)
            few = "rows of " if evidence.unit == "days" and evidence.units < MINIMUM_UNITS else ""
            reason += f" ({lower:.4f} to {upper:.4f} over {few}{units})"
        return self.verdict(outcome, reason, figures)


class _ComparisonGate(PromotionGate[Compared]):
    """Compares the candidate with the champion, on the same test rows."""

    def judge_incomparable(
        self, champion: ChampionComparison, evidence: Evidence, figures: Mapping[str, Figure]
    ) -> Verdict:
        """Fail if the metric is undefined; if the champion predicts something else, a person decides."""
        reason = champion.problem
        if not reason:
            reason = _describe_undefined(self.declared.metric, evidence, ("test", "champion"))
        outcome: VerdictOutcome = "inconclusive" if champion.problem else "fail"
        return self.verdict(
            outcome, f"it could not be compared with champion {champion.version}: {reason}", figures
        )

    def find_gain(self, champion: ChampionComparison) -> Gain | None:
        """Return the gain with the metric and the confidence of the gate; None if it is undefined."""
        for gain in champion.gains:
            if gain.metric == self.declared.metric and gain.confidence == self.declared.confidence:
                return gain
        return None


class ImprovementGate(_ComparisonGate[Improvement]):
    """The candidate gains enough on the champion, on the same test rows."""

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Pass if the lower bound of the gain reaches the required gain, fail if the upper bound does not.

        A required gain of zero is reached above zero only, and what is rounding is no gain. A candidate whose
        gain is below zero fails too, unless the gate declares `worse="ask"`. The lower bound is that of all
        attempts since the last promotion together, so that many attempts do not pass by chance. In between,
        and with too few test days or rows, the verdict is inconclusive.
        """
        champion = evidence.champion
        if champion is None:
            return self.verdict("pass", "there is no champion yet", {})
        required = self.declared.minimum_gain
        figures: dict[str, Figure] = {"required": required, "refusals": evidence.refusals}
        gain = self.find_gain(champion)
        if gain is None:
            return self.judge_incomparable(champion, evidence, figures)
        figures |= _gain_figures(champion, gain)
        reason = (
            f"{self.declared.metric} gains {_gain(gain.value)} on champion {champion.version} "
            f"({_gain(gain.lower)} to {_gain(gain.upper)} at {gain.confidence:.0%}), "
            f"{_gain(required) if required else 'more than 0'} required{_describe_attempt(gain)}"
        )
        rounding = _rounding(gain.metric, evidence, champion)
        outcome: VerdictOutcome = "inconclusive"
        if gain.value < -rounding and self.declared.worse == "refuse":
            reason += "; it is worse than the champion"
            outcome = "fail"
        elif gain.units < MINIMUM_UNITS:
            units = describe_units(gain.units, gain.unit)
            reason += f"; {units} are too few to estimate how much {gain.unit} differ"
        elif reaches(gain.lower, required, rounding):
            outcome = "pass"
        elif not reaches(gain.upper, required, rounding):
            outcome = "fail"
        return self.verdict(outcome, reason, figures)


class NonInferiorityGate(_ComparisonGate[NonInferiority]):
    """The candidate is not worse than the champion by more than a margin, on the same test rows."""

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Pass if the lower bound of the gain is above minus the margin.

        Else fail if the gain itself is below minus the margin, or if its upper bound is below zero. A loss
        within the margin that may be chance is inconclusive, and so are too few test days or rows.
        """
        champion = evidence.champion
        if champion is None:
            return self.verdict("pass", "there is no champion yet", {})
        gain = self.find_gain(champion)
        if gain is None:
            return self.judge_incomparable(champion, evidence, {"refusals": evidence.refusals})
        margin = self.declared.margin * abs(champion.metrics[gain.metric])
        figures: dict[str, Figure] = _gain_figures(champion, gain) | {
            "margin": margin,
            "refusals": evidence.refusals,
        }
        reason = (
            f"{gain.metric} gains {_gain(gain.value)} on champion {champion.version} "
            f"({_gain(gain.lower)} to {_gain(gain.upper)} at {gain.confidence:.0%}), a loss of up to "
            f"{margin:.3g} is within the margin{_describe_attempt(gain)}"
        )
        rounding = _rounding(gain.metric, evidence, champion)
        allowed_loss = max(margin, rounding)
        outcome: VerdictOutcome = "inconclusive"
        if gain.value < -allowed_loss:
            reason += "; it is worse than the champion by more than the margin"
            outcome = "fail"
        elif gain.units >= MINIMUM_UNITS and gain.lower >= -allowed_loss:
            outcome = "pass"
        elif gain.units >= MINIMUM_UNITS and gain.upper < -rounding:
            reason += "; it is certainly worse than the champion"
            outcome = "fail"
        elif gain.units < MINIMUM_UNITS:
            units = describe_units(gain.units, gain.unit)
            reason += f"; {units} are too few to estimate how much {gain.unit} differ"
        return self.verdict(outcome, reason, figures)


class OverfittingGate(PromotionGate[Overfitting]):
    """A metric is not much better in training than on the test rows."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if the metric is undefined, or better in training by more than the maximum gap."""
        metric = self.declared.metric
        maximum_gap = self.declared.maximum_gap
        figures: dict[str, Figure] = {"maximum_gap": maximum_gap}
        train = evidence.metrics["train"].get(metric)
        test = evidence.metrics["test"].get(metric)
        if train is None or test is None:
            return self.verdict("fail", _describe_undefined(metric, evidence, ("train", "test")), figures)
        gap = train - test if is_greater_better(metric) else test - train
        figures |= {"train": train, "test": test, "gap": gap}
        reason = f"{metric} is {gap:+.4f} better in training ({train:.4f}) than in the test ({test:.4f})"
        return self.verdict("fail" if gap > maximum_gap else "pass", reason, figures)


def reaches(gain: float, required: float, rounding: float = 0.0) -> bool:
    """
    Return whether a gain is as large as required; if nothing is required, whether it is above zero.

    Parameters
    ----------
    gain, required : float
        In the same unit; a negative requirement is a loss that is allowed.
    rounding : float
        Largest gain that is rounding.
    """
    if gain < required:
        return False
    return required < 0 or gain > rounding


def _gain_figures(champion: ChampionComparison, gain: Gain) -> dict[str, Figure]:
    return {
        "champion": champion.version,
        "gain": gain.value,
        "method": gain.method,
        "lower": gain.lower,
        "upper": gain.upper,
        "confidence": gain.confidence,
        "attempt": gain.attempt,
        "lower_confidence": gain.lower_confidence or gain.confidence,
        gain.unit: gain.units,
    }


def _describe_attempt(gain: Gain) -> str:
    if gain.attempt == 1 or gain.lower_confidence is None:
        return ""
    return (
        f" (attempt {gain.attempt} since the last promotion: its lower bound is that of "
        f"{gain.lower_confidence:.3%})"
    )


def _rounding(metric: str, evidence: Evidence, champion: ChampionComparison) -> float:
    """Return the largest difference of two values of the metric that is rounding."""
    values = (evidence.metrics["test"].get(metric, 0.0), champion.metrics.get(metric, 0.0))
    return MAX_ROUNDINGS * sys.float_info.epsilon * max(map(abs, values))


def _gain(value: float) -> str:
    """Return a gain with its sign; a tiny or huge one with an exponent."""
    if value and not MIN_DECIMAL <= abs(value) < MAX_DECIMAL:
        return f"{value:+.3g}"
    # Added to minus zero, it is zero.
    return f"{value + 0.0:+.5f}"


def _describe_undefined(metric: str, evidence: Evidence, splits: Sequence[str]) -> str:
    """Return on which of the splits a metric is undefined, and why."""
    reasons = [
        f"on the {split} rows: {evidence.undefined[split][metric]}"
        for split in splits
        if metric in evidence.undefined.get(split, {})
    ]
    return (
        f"{metric} is undefined {'; '.join(reasons)}"
        if reasons
        else f"{metric} is undefined: it is no finite number"
    )
