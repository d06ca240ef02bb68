"""Judge what no owner has to ask for: no test row was trained on, and no prediction is impossible."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.modeling.gates.verdict import verdict

if TYPE_CHECKING:
    from include.declarations import UseCase
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.verdict import Verdict


def overlap(evidence: Evidence) -> Verdict:
    """Fail if a test row was in the training rows of the candidate or of its champion."""
    figures: dict[str, Figure] = {"own": evidence.overlap, "test_rows": evidence.rows["test"]}
    if evidence.overlap:
        reason = f"the candidate was trained on {evidence.overlap} of its {evidence.rows['test']} test rows"
        return verdict("overlap", "fail", reason, figures)
    if evidence.champion is None:
        return verdict("overlap", "pass", "no test row was trained on", figures)
    figures["champion"] = evidence.champion.version
    if evidence.champion.overlap is None:
        reason = f"the training rows of champion {evidence.champion.version} are not known any more"
        return verdict("overlap", "inconclusive", reason, figures)
    figures["champions"] = evidence.champion.overlap
    if evidence.champion.overlap:
        reason = f"champion {evidence.champion.version} was trained on {evidence.champion.overlap} test rows"
        return verdict("overlap", "fail", reason, figures)
    return verdict("overlap", "pass", "neither model has seen a test row", figures)


def prediction_range(use_case: UseCase, evidence: Evidence) -> Verdict:
    """Fail if a prediction of a test row lies outside of what the use case declares possible."""
    (low, high), (lowest, highest) = use_case.prediction_range, evidence.prediction_range
    inside = low <= lowest and highest <= high
    reason = f"predictions lie in {lowest:.4g} to {highest:.4g}; {low:g} to {high:g} is declared"
    figures = {"lowest": lowest, "highest": highest, "minimum": low, "maximum": high}
    return verdict("prediction_range", "pass" if inside else "fail", reason, figures)
