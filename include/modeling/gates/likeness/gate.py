"""Gate on the likeness of the training rows to the newest rows of production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations.risk import DataLikeness
from include.modeling.evaluation.context import sample
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate
from include.modeling.gates.likeness.distances import measure_distance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict, VerdictOutcome

    Item = Mapping[str, Figure | None]

# Fewer rows of production say little about a distribution.
MIN_ROWS = 100
# Probability that any feature of two samples of one distribution seems unlike by chance.
ALPHA = 0.01
MAX_NAMES = 5


class DataLikenessGate(PromotionGate[DataLikeness]):
    """The candidate learned from rows like those that it will be asked about."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return the distance of each feature between training and production, and its importance."""
        production = context.production
        if production is None:
            return Measurement(figures={"source": ""})
        train = sample(context.train.frame, self.declared.rows)
        newest = sample(production.frame, self.declared.rows)
        names = [name for name in self.use_case.features if name in train and name in newest]
        items = []
        for name in names if len(newest) >= MIN_ROWS else ():
            measured = measure_distance(train[name], newest[name])
            item: dict[str, Figure | None] = {
                "feature": name,
                "distance": measured.distance,
                "p_value": measured.p_value,
                "differs_in": measured.kind,
                "importance": max(context.importance.get(name, 0.0), 0.0),
            }
            items.append(item)
        figures: dict[str, Figure] = {"source": production.source, "training_rows": len(train)}
        return Measurement(figures=figures, items=tuple(items), rows=len(newest))

    def judge(self, evidence: Evidence) -> Verdict:
        """
        Pass if features of little importance alone are unlike; else a person decides.

        It is no failure, since a season explains a difference, and newer training rows may not exist.
        """
        measurement = self.measurement(evidence)
        source = str(measurement.figures["source"])
        figures: dict[str, Figure] = {"rows": measurement.rows, "source": source}
        if not source:
            return self.verdict("pass", "not applicable: there are no rows of production yet", figures)
        if not measurement.items:
            reason = (
                f"not applicable: {measurement.rows} {source} are too few to compare, {MIN_ROWS} are needed"
            )
            return self.verdict("pass", reason, figures)
        unlike = [
            item
            for item in measurement.items
            if float(item["distance"] or 0) >= self.declared.minimum_distance
            and float(item["p_value"] or 0) < ALPHA / len(measurement.items)
        ]
        share = _importance_share(unlike, measurement.items)
        figures |= {"unlike": len(unlike), "share": share, "maximum_share": self.declared.maximum_share}
        worst = sorted(unlike, key=lambda item: -float(item["distance"] or 0))[:MAX_NAMES]
        names = ", ".join(_describe_distance(item) for item in worst) or "none"
        reason = (
            f"of {len(measurement.items)} features {len(unlike)} are unlike in training and in "
            f"{measurement.rows} {source}: {names}; they have {share:.0%} of the importance, "
            f"{self.declared.maximum_share:.0%} allowed"
        )
        outcome: VerdictOutcome = "pass"
        if share > self.declared.maximum_share:
            outcome = "inconclusive"
            reason += "; train on newer rows, or say that the season explains it"
        return self.verdict(outcome, reason, figures)


def _importance_share(some: list[Item], items: tuple[Item, ...]) -> float:
    """Return the part of the importance that some features have; of the count, where none has any."""
    total = sum(float(item["importance"] or 0) for item in items)
    if total <= 0:
        return len(some) / len(items)
    return sum(float(item["importance"] or 0) for item in some) / total


def _describe_distance(item: Item) -> str:
    what = " missing values" if item["differs_in"] == "missing" else ""
    return f"{item['feature']}{what} ({float(item['distance'] or 0):.2f})"
