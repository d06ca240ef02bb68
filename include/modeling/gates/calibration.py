"""Judge whether a probability means what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.modeling.evaluation.evidence import Measurement
from include.modeling.evaluation.metrics import bins_of
from include.modeling.gates.verdict import measurement_of, verdict

if TYPE_CHECKING:
    from include.declarations import Calibration
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.gates.verdict import Verdict, VerdictOutcome


def measure(gate: Calibration, trial: EvaluationContext) -> Measurement:
    """Return the expected calibration error over bins of equally many rows (Nguyen and O'Connor 2015)."""
    answers, target, days = trial.test.predictions, trial.test.target, trial.days
    bins = bins_of(answers, gate.bins)
    count = int(bins.max()) + 1
    rows, predicted, positive = (
        np.stack([days.sums(np.where(bins == each, figure, 0.0)) for each in range(count)])
        for figure in (np.ones(len(answers)), answers, target)
    )

    def error(weights: Values) -> Values:
        gaps: Values = np.abs(weights @ (predicted - positive).T).sum(axis=1) / (weights @ rows.T).sum(axis=1)
        return gaps

    (value,) = error(days.ones)
    lower, upper = days.interval(error, confidence=gate.confidence, value=float(value))
    brier = float(np.mean((answers - target) ** 2))
    sums = [figure.sum(axis=1) for figure in (rows, predicted, positive)]
    items = tuple(
        {"rows": int(n), "predicted": float(p / n), "observed": float(y / n)}
        for n, p, y in zip(*sums, strict=True)
    )
    figures = {"error": float(value), "lower": max(lower, 0.0), "upper": upper, "brier": brier}
    return Measurement(figures=figures, items=items, rows=len(answers))


def judge(gate: Calibration, evidence: Evidence) -> Verdict:
    """Pass an error up to the maximum; fail one that is surely above it."""
    found = measurement_of(gate, evidence)
    error, lower, upper = (float(found.figures[name]) for name in ("error", "lower", "upper"))
    worst = max(
        found.items, key=lambda item: abs(float(item["predicted"] or 0) - float(item["observed"] or 0))
    )
    outcome: VerdictOutcome = "pass" if error <= gate.maximum_error else "inconclusive"
    if lower > gate.maximum_error:
        outcome = "fail"
    reason = (
        f"probabilities are off by {error:.4f} on average ({lower:.4f} to {upper:.4f}), "
        f"{gate.maximum_error:g} allowed; worst where {worst['predicted']:.3f} is predicted and "
        f"{worst['observed']:.3f} happens, in {worst['rows']} rows"
    )
    return verdict(gate, outcome, reason, {**found.figures, "maximum_error": gate.maximum_error})
