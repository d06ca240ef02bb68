"""Gates that apply to every use case: overlap, determination, prediction range, golden rows and parity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.data.snapshots.determination import describe_determinants, find_determinants, sample_rows
from include.declarations import Gate
from include.declarations.risk import NotMeasured
from include.errors import ModelError
from include.inference.predictions import MAX_RELATIVE_GAP, outside_range, prediction_gap
from include.inference.start_check import packaging_parity
from include.modeling.evaluation.context import evenly_spaced
from include.modeling.evaluation.estimator_errors import estimator_errors
from include.modeling.evaluation.evidence import Measurement
from include.modeling.gates.base import PromotionGate
from include.modeling.packaging.package import golden_tolerance

if TYPE_CHECKING:
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict

PARITY_ROWS = 500


class OverlapGate(PromotionGate[Gate]):
    """No test row is a training row of the candidate or of its champion."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a test row was trained on; inconclusive if the champion's rows are unknown."""
        figures: dict[str, Figure] = {"own": evidence.overlap, "test_rows": evidence.rows["test"]}
        if evidence.overlap:
            reason = (
                f"the candidate was trained on {evidence.overlap} of its {evidence.rows['test']} test rows"
            )
            return self.verdict("fail", reason, figures)
        champion = evidence.champion
        # A champion with a problem is not compared on these rows.
        if champion is None or champion.problem:
            return self.verdict("pass", "no test row was trained on", figures)
        figures["champion"] = champion.version
        if champion.overlap is None:
            reason = f"the training rows of champion {champion.version} are not known any more"
            return self.verdict("inconclusive", reason, figures)
        figures["champions"] = champion.overlap
        if champion.overlap:
            reason = f"champion {champion.version} was trained on {champion.overlap} test rows"
            return self.verdict("fail", reason, figures)
        return self.verdict("pass", "neither model was trained on a test row", figures)


class DeterminationGate(PromotionGate[Gate]):
    """No feature equals or determines the label, alone or in a linear combination."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """Return the features that hold the label of the training rows; there should be none."""
        rows = sample_rows(context.train.frame)
        determinants = find_determinants(self.use_case, rows)
        problem = describe_determinants(self.use_case, determinants, len(rows)) if determinants else ""
        return Measurement(figures={"determinants": len(determinants), "finding": problem}, rows=len(rows))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if there is one; features that are allowed to be one stand in the reason."""
        measurement = self.measurement(evidence)
        figures: dict[str, Figure] = {
            "rows": measurement.rows,
            "determinants": measurement.figures["determinants"],
        }
        if measurement.figures["determinants"]:
            return self.verdict("fail", str(measurement.figures["finding"]), figures)
        reason = f"no feature determines the label in {measurement.rows:,} training rows"
        allowed = [f"{name} ({why})" for name, why in self.use_case.allowed_determinants.items()]
        if allowed:
            reason += f"; declared as known in time, and not looked at: {', '.join(allowed)}"
        return self.verdict("pass", reason, figures)


class PredictionRangeGate(PromotionGate[Gate]):
    """Every prediction of a test row lies in the declared range."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if the lowest or the highest prediction is outside the declared range."""
        minimum, maximum = self.use_case.prediction_range
        lowest, highest = evidence.prediction_range
        reason = f"predictions lie in {lowest:.9g} to {highest:.9g}; {minimum:g} to {maximum:g} is declared"
        figures = {"lowest": lowest, "highest": highest, "minimum": minimum, "maximum": maximum}
        is_outside = outside_range(np.array(evidence.prediction_range), self.use_case.prediction_range).any()
        return self.verdict("fail" if is_outside else "pass", reason, figures)


class GoldenRowsGate(PromotionGate[Gate]):
    """The packaged model predicts its golden rows as the estimator did in training."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return the largest difference on the golden rows of the package, sent as in a request.

        Raises
        ------
        ModelError
            If the model cannot predict them.
        """
        remedy = "Train the model again; see `packaging` if it happens again."
        with estimator_errors(f"{self.use_case.name}: the prediction of the golden rows", remedy=remedy):
            rows, gap, allowed = packaging_parity(context.package.folder, context.model)
        return Measurement(figures={"largest_gap": gap, "allowed": allowed}, rows=rows)

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a prediction differs by more than rounding."""
        measurement = self.measurement(evidence)
        gap = float(measurement.figures["largest_gap"])
        reason = f"in a request, it differs by {gap:.3g} from training on {measurement.rows} golden rows"
        return _judge_gap(self, measurement, reason)


class ParityGate(PromotionGate[Gate]):
    """The packaged model predicts alike in an isolated process and in the evaluation."""

    needs_process = True

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return the largest difference on `PARITY_ROWS` test rows.

        Raises
        ------
        ModelError
            If the model cannot predict in an isolated process.
        """
        isolated = context.package.isolated
        if isolated is None:
            raise ModelError("no isolated process was started")
        rows = evenly_spaced(len(context.test.predictions), PARITY_ROWS)
        expected = context.test.predictions[rows]
        predictions = np.asarray(isolated().predictions, dtype=np.float64)
        tolerance = golden_tolerance(context.package.folder)
        gap, allowed = prediction_gap(expected, predictions, allowed=tolerance)
        return Measurement(figures={"largest_gap": gap, "allowed": allowed}, rows=len(expected))

    def judge(self, evidence: Evidence) -> Verdict:
        """Fail if a prediction differs by more than rounding."""
        measurement = self.measurement(evidence)
        gap = float(measurement.figures["largest_gap"])
        reason = f"in an isolated process it differs by {gap:.3g} on {measurement.rows} test rows"
        return _judge_gap(self, measurement, reason)


class NotMeasuredGate(PromotionGate[NotMeasured]):
    """A standard gate that is switched off, or that is not for the task."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Pass with the reason."""
        return self.verdict("pass", f"not measured: {self.declared.reason}", {})


class RiskGate(PromotionGate[Gate]):
    """A person approves each candidate of a use case with a high risk."""

    def judge(self, evidence: Evidence) -> Verdict:
        """Pass a low or medium risk; a high one is inconclusive, so that a person is asked."""
        risk = self.use_case.risk
        if risk is None:
            reason = "no risk is declared: the standard gates refuse gross faults only, and ask nobody"
            return self.verdict("pass", reason, {})
        reason = f"{risk.level} risk, as {risk.reviewer} judged it on {risk.reviewed}: {risk.impact}"
        if risk.level == "high":
            reason += "; a person other than the one who started the training approves each candidate"
        return self.verdict("inconclusive" if risk.level == "high" else "pass", reason, {"level": risk.level})


def _judge_gap(gate: PromotionGate[Gate], measurement: Measurement, reason: str) -> Verdict:
    """Pass if there are rows, and no prediction differs by more than rounding."""
    figures: dict[str, Figure] = {"rows": measurement.rows, **measurement.figures}
    gap = float(measurement.figures["largest_gap"])
    is_same = measurement.rows > 0 and gap <= float(measurement.figures.get("allowed", MAX_RELATIVE_GAP))
    return gate.verdict("pass" if is_same else "fail", reason, figures)
