"""Judge what a candidate is worth, in the owner's currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import DataError
from include.modeling.evaluation.bootstrap import MINIMUM_DAYS
from include.modeling.gates.verdict import verdict

if TYPE_CHECKING:
    from include.declarations import BusinessValue
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict, VerdictOutcome


def business_value(gate: BusinessValue, evidence: Evidence) -> Verdict:
    """
    Pass what surely saves enough against the better of naive forecast and no model; fail what does not.

    :raises DataError: if nobody measured it
    """
    found = evidence.costs
    if found is None:
        raise DataError("no cost was declared when it was evaluated; clear `evaluate`")
    figures: dict[str, Figure] = {"currency": found.currency, "saved": found.saved, "model": found.model}
    figures |= {"naive": found.baseline, "without": found.without, "minimum": gate.minimum_per_thousand}
    figures |= {"lower": found.lower, "upper": found.upper, "days": evidence.days}
    other = "the naive forecast" if found.baseline <= found.without else "no model"
    reason = (
        f"saves {found.saved:,.2f} {found.currency} on 1,000 rows against {other} ({found.lower:,.2f} to "
        f"{found.upper:,.2f}), {gate.minimum_per_thousand:,.2f} required"
    )
    outcome: VerdictOutcome = "inconclusive"
    if evidence.days < MINIMUM_DAYS:
        reason += f"; {evidence.days} test days are too few to tell how much days differ"
    elif found.lower >= gate.minimum_per_thousand:
        outcome = "pass"
    elif found.upper < gate.minimum_per_thousand:
        outcome = "fail"
    return verdict(gate, outcome, reason, figures)
