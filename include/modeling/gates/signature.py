"""Gate on the signature: a request that is valid for the champion is valid for the candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import Gate
from include.feature_values import base_kind, may_be_missing
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.inference.model import ServedModel
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.base import Verdict

# Of each column type: the types that accept all of its values.
WIDER_TYPES: Mapping[str, frozenset[str]] = {
    "integer": frozenset({"long", "float", "double"}),
    "long": frozenset({"double"}),
    "float": frozenset({"double"}),
}

PREDICTION = "the prediction"
REMEDY = (
    "Declare a new feature nullable, so that callers may send it later, and "
    'Serving(unknown_columns="ignore"), so that they may send it earlier and go on sending a dropped one; or '
    'move the callers first, and declare SignatureCompatibility(severity="warn") for the release'
)


class SignatureGate(PromotionGate[Gate]):
    """The candidate accepts the champion's columns, and predicts what the champion predicts."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return the differences because of which a request to the champion would be refused."""
        champion = context.champion
        if champion is None:
            return Measurement()
        accepted = champion.package.model
        differences = (
            *_compare_columns(accepted, context.model),
            *_compare_predictions(accepted, context.model),
        )
        items = tuple({"column": column, "why": why} for column, why in differences)
        return Measurement(figures={"champion": champion.version}, items=items, rows=len(accepted.columns))

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Fail if a request that is valid for the champion would be refused.

        If only the prediction means something else, the verdict is inconclusive: a person decides.
        """
        measurement = self.measurement(evidence)
        champion = measurement.figures.get("champion")
        if champion is None:
            return self.verdict("pass", "there is no champion yet, and so no caller", {})
        differences = [f"{item['column']} {item['why']}" for item in measurement.items]
        figures = {**measurement.figures, "broken": len(differences)}
        if any(item["column"] != PREDICTION for item in measurement.items):
            reason = f"callers of champion {champion} would be refused: {'; '.join(differences)}. {REMEDY}"
            return self.verdict("fail", reason, figures)
        if differences:
            reason = f"callers of champion {champion} would get something else: {'; '.join(differences)}"
            return self.verdict("inconclusive", reason, figures)
        reason = f"every request to champion {champion} stays valid ({measurement.rows} columns)"
        return self.verdict("pass", reason, figures)


def _compare_columns(champion: ServedModel, candidate: ServedModel) -> Iterator[tuple[str, str]]:
    """Yield the columns that are missing, new or of a narrower type, with the reason."""
    for name in champion.columns:
        if name not in candidate.columns and not candidate.interface.ignores_unknown:
            yield name, "is not accepted any more"
    for name, kind in candidate.columns.items():
        if name not in champion.columns and not may_be_missing(kind):
            yield name, "is required now"
    for name, kind in candidate.columns.items():
        former_kind = champion.columns.get(name, kind)
        required = base_kind(kind)
        accepted = base_kind(former_kind)
        if required != accepted and required not in WIDER_TYPES.get(accepted, ()):
            yield name, f"was {accepted}, and has to be {required} now"
        # Former packages do not say whether values were missing in training.
        was_optional = may_be_missing(former_kind) and champion.interface.states_missing
        if was_optional and not may_be_missing(kind):
            yield name, "may not be missing any more"


def _compare_predictions(champion: ServedModel, candidate: ServedModel) -> Iterator[tuple[str, str]]:
    """Yield the difference in task or classes, with the reason."""
    if champion.task != candidate.task:
        yield PREDICTION, f"was that of a {champion.task}"
    elif champion.classes != candidate.classes:
        before = ", ".join(map(str, champion.classes))
        after = ", ".join(map(str, candidate.classes))
        yield PREDICTION, f"had the classes {before}, not {after}"
    elif champion.positive != candidate.positive:
        yield PREDICTION, f"was the probability of {champion.positive}, not of {candidate.positive}"
