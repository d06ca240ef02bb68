"""Gate on what a candidate saves, in the owner's currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import BusinessValue
from include.errors import GateFailed
from include.modeling.evaluation.bootstrap import MINIMUM_UNITS, describe_units
from include.modeling.gates.base import PromotionGate
from include.modeling.gates.performance import reaches

if TYPE_CHECKING:
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict, VerdictOutcome


class BusinessValueGate(PromotionGate[BusinessValue]):
    """The candidate saves enough against the better of the baseline and of no model at all."""

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Pass if the lower bound of the saving reaches the minimum, fail if the upper bound does not.

        A minimum of zero is reached above zero only: a model that saves nothing is not worth its release.
        In between, and with too few test days or rows, the verdict is inconclusive.

        Raises
        ------
        GateFailed
            If the costs were not measured.
        """
        costs = evidence.costs
        if costs is None:
            raise GateFailed("no cost was declared when it was evaluated; clear `evaluate`")
        minimum = self.declared.minimum_per_thousand
        figures: dict[str, Figure] = {
            "currency": costs.currency,
            "saved": costs.saved,
            "model": costs.model,
            "baseline": costs.baseline,
            "without": costs.without,
            "minimum": minimum,
            "lower": costs.lower,
            "upper": costs.upper,
            evidence.unit: evidence.units,
        }
        alternative = "the baseline" if costs.baseline <= costs.without else "no model"
        reason = (
            f"saves {costs.saved:,.2f} {costs.currency} per 1,000 rows against {alternative} "
            f"({costs.lower:,.2f} to {costs.upper:,.2f}), {minimum:,.2f} required"
        )
        outcome: VerdictOutcome = "inconclusive"
        if evidence.units < MINIMUM_UNITS:
            units = describe_units(evidence.units, evidence.unit)
            reason += f"; {units} are too few to estimate how much {evidence.unit} differ"
        elif reaches(costs.lower, minimum):
            outcome = "pass"
        elif not reaches(costs.upper, minimum):
            outcome = "fail"
        return self.verdict(outcome, reason, figures)
