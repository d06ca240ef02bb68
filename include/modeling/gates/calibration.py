"""Gate on the calibration of predicted probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.declarations import Calibration
from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import equal_count_bins
from include.modeling.evaluation.metrics.resampled import sum_by_unit
from include.modeling.gates.base import PromotionGate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from include.modeling.evaluation.bootstrap import UnitBootstrap, Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence, Figure
    from include.modeling.gates.base import Verdict, VerdictOutcome


# Of fewer rows, the error of a bin is mostly chance.
MIN_ROWS_PER_BIN = 50
MAX_VARIANCE_OF_SHARE = 0.25
MIN_BINS = 2


class CalibrationGate(PromotionGate[Calibration]):
    """Among the rows with a predicted probability p, about the share p is positive."""

    def measure(self, context: EvaluationContext) -> Measurement:
        """
        Return the expected calibration error over bins of equally many rows (Nguyen and O'Connor 2015).

        Of several classes, it is that of the most probable one (Guo et al. 2017). Of a regression, the mean
        prediction and the mean target of each bin are compared, in standard deviations of the training
        target.
        """
        predictions, target, scale = _calibrated_values(context)
        n_bins = max(MIN_BINS, min(self.declared.bins, len(target) // self._rows_per_bin()))
        bins = equal_count_bins(predictions, n_bins)
        rows = _sums_by_bin(np.ones(len(target)), bins, context.units)
        predicted = _sums_by_bin(predictions, bins, context.units)
        positive = _sums_by_bin(target, bins, context.units)

        def calibration_error(weights: Values) -> Values:
            gaps = np.abs(weights @ (predicted - positive).T).sum(axis=1)
            errors: Values = gaps / (weights @ rows.T).sum(axis=1) / scale
            return errors

        error = float(calibration_error(context.units.ones)[0])
        lower, upper = context.units.interval(
            calibration_error, confidence=self.declared.confidence, value=error
        )
        figures: dict[str, Figure] = {
            "error": error,
            "lower": max(lower, 0.0),
            "upper": upper,
        }
        if context.use_case.task != "regression":
            figures["brier"] = float(np.mean((predictions - target) ** 2))
        items = _describe_bins(rows.sum(axis=1), predicted.sum(axis=1), positive.sum(axis=1))
        return Measurement(figures=figures, items=items, rows=len(predictions))

    def judge(self, evidence: Evidence) -> Verdict:
        """Pass an error up to the maximum; fail if the lower bound of the error is above it."""
        measurement = self.measurement(evidence)
        maximum = self.declared.maximum_error
        error = float(measurement.figures["error"])
        lower = float(measurement.figures["lower"])
        upper = float(measurement.figures["upper"])
        outcome: VerdictOutcome = "pass" if error <= maximum else "inconclusive"
        if lower > maximum:
            outcome = "fail"
        worst = max(measurement.items, key=_bin_gap)
        reason = (
            f"the mean calibration error{self._describe_unit()} is {error:.4f} ({lower:.4f} to {upper:.4f}), "
            f"{maximum:g} allowed; "
            f"worst where {worst['predicted']:.3f} is predicted and {worst['observed']:.3f} observed, "
            f"in {worst['rows']} rows"
        )
        return self.verdict(outcome, reason, {**measurement.figures, "maximum_error": maximum})

    def _rows_per_bin(self) -> int:
        """Return how many rows a bin needs, so that chance makes an error smaller than the maximum."""
        variance = 1.0 if self.use_case.task == "regression" else MAX_VARIANCE_OF_SHARE
        return max(MIN_ROWS_PER_BIN, round(variance / self.declared.maximum_error**2))

    def _describe_unit(self) -> str:
        if self.use_case.task == "multiclass":
            return " of the most probable class"
        return " in deviations of the target" if self.use_case.task == "regression" else ""


def _calibrated_values(context: EvaluationContext) -> tuple[Values, Values, float]:
    """Return what is predicted and observed of each row, shape (n,), and the unit of the error."""
    predictions = context.test.predictions
    target = context.test.target
    if context.use_case.task == "multiclass":
        is_right = predictions.argmax(axis=1) == target
        return predictions.max(axis=1), is_right.astype(np.float64), 1.0
    if context.use_case.task == "regression":
        # Of a constant target, errors count in its own unit.
        return predictions, target, float(np.std(context.train.target)) or 1.0
    return predictions, target, 1.0


def _sums_by_bin(values: Values, bins: npt.NDArray[np.intp], units: UnitBootstrap) -> Values:
    """Return the sum of `values` for each bin and unit, shape (n_bins, n_units)."""
    numbers = range(int(bins.max()) + 1)
    return np.stack([sum_by_unit(np.where(bins == number, values, 0.0), units) for number in numbers])


def _describe_bins(
    rows: Values, predicted: Values, positive: Values
) -> tuple[Mapping[str, Figure | None], ...]:
    return tuple(
        {"rows": int(count), "predicted": float(mass / count), "observed": float(hits / count)}
        for count, mass, hits in zip(rows, predicted, positive, strict=True)
    )


def _bin_gap(item: Mapping[str, Figure | None]) -> float:
    return abs(float(item["predicted"] or 0) - float(item["observed"] or 0))
