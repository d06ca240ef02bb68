"""Gates of anomaly detection: recall of injected anomalies, and the share of rows that is flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binom

from include.data.lake.partition_columns import DAY
from include.declarations import FlaggedShare, InjectedAnomalies
from include.errors import DataError
from include.inference.predictions import FLAGGED_ABOVE
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict

# Probability below which a number of flagged rows is no chance.
RARE = 0.001


class InjectedAnomaliesGate(PromotionGate[InjectedAnomalies]):
    """The model flags enough of the injected anomalies."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return how many anomalies were injected into the test rows, and the share that is flagged."""
        test = context.test
        flagged = test.predictions[test.target == 1] > FLAGGED_ABOVE
        if not len(flagged):
            raise DataError("no anomalies were injected: there are no test rows")
        return Measurement(figures={"recall": float(flagged.mean())}, rows=len(flagged))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if the recall is below the declared minimum."""
        measurement = self.measurement(evidence)
        recall = float(measurement.figures["recall"])
        minimum = self.declared.minimum_recall
        figures: dict[str, Figure] = {"recall": recall, "minimum": minimum, "injected": measurement.rows}
        reason = (
            f"{recall:.1%} of {measurement.rows:,} injected anomalies are flagged, at least {minimum:.1%} "
            f"must be, at a contamination of {self.use_case.contamination:.2%}"
        )
        return self.verdict("pass" if recall >= minimum else "fail", reason, figures)


class FlaggedShareGate(PromotionGate[FlaggedShare]):
    """The share of the test rows that is flagged is the declared one, on nearly every day."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return the flagged rows of the test split and of each of its days, without the injected ones."""
        test = context.test
        is_real = test.target == 0
        flagged = (test.predictions > FLAGGED_ABOVE)[is_real]
        days = test.frame[DAY].to_numpy()[is_real]
        items = []
        for day in np.unique(days):
            of_day = flagged[days == day]
            items.append({"day": str(day), "rows": len(of_day), "flagged": int(of_day.sum())})
        return Measurement(figures={"flagged": int(flagged.sum())}, items=tuple(items), rows=len(flagged))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if the share, or that of too many days, is outside the limits by more than chance."""
        measurement = self.measurement(evidence)
        lowest, highest = self._limits()
        flagged = int(measurement.figures["flagged"])
        share = flagged / measurement.rows
        shares = [int(item["flagged"] or 0) / int(item["rows"] or 1) for item in measurement.items]
        unstable = [
            str(item["day"])
            for item in measurement.items
            if self._is_unlikely(int(item["flagged"] or 0), int(item["rows"] or 0))
        ]
        unstable_share = len(unstable) / len(shares)
        figures: dict[str, Figure] = {
            "share": share, "lowest": min(shares), "highest": max(shares), "days": len(shares),
            "unstable_days": len(unstable),
        }  # fmt: skip
        reason = (
            f"{share:.2%} of {measurement.rows:,} test rows are flagged, from {min(shares):.2%} to "
            f"{max(shares):.2%} by day; {lowest:.2%} to {highest:.2%} are allowed"
        )
        if unstable:
            reason += f", and {len(unstable)} of {len(shares)} days are outside: {', '.join(unstable[:5])}"
        is_outside = self._is_unlikely(flagged, measurement.rows)
        is_unstable = unstable_share > self.declared.maximum_unstable_days
        return self.verdict("fail" if is_outside or is_unstable else "pass", reason, figures)

    def _limits(self) -> tuple[float, float]:
        contamination = self.use_case.contamination or 0.0
        ratio = self.declared.maximum_ratio
        return contamination / ratio, min(contamination * ratio, 1 - (1 - contamination) / ratio)

    def _is_unlikely(self, flagged: int, rows: int) -> bool:
        """Return whether so few or so many flagged rows would be rare at a limit."""
        lowest, highest = self._limits()
        too_few = float(binom.cdf(flagged, rows, lowest)) < RARE
        too_many = float(binom.sf(flagged - 1, rows, highest)) < RARE
        return too_few or too_many
