"""Comparison of a candidate's costs with those of the baseline and of no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.modeling.evaluation.costs import PER_ROWS, costs_without_model, row_costs
from include.modeling.evaluation.evidence import CostComparison
from include.modeling.evaluation.metrics.resampled import resample_mean

if TYPE_CHECKING:
    from include.modeling.evaluation.context import EvaluationContext

DEFAULT_CONFIDENCE = 0.95


def compare_costs(context: EvaluationContext) -> CostComparison | None:
    """Return the costs per `PER_ROWS` test rows; None if the use case declares no cost."""
    cost = context.use_case.cost
    if cost is None:
        return None
    test = context.test
    names = context.use_case.class_names
    model = row_costs(cost, test.target, test.predictions, context.decision, test.frame, names)
    baseline = row_costs(cost, test.target, context.baseline, context.baseline_decision, test.frame, names)
    without = costs_without_model(
        cost,
        test.target,
        train=context.train.target,
        selection=context.selection.target,
        rows=test.frame,
        selection_rows=context.selection.frame,
        class_names=names,
    )
    alternative = baseline if baseline.mean() <= without.mean() else without
    saved = float(alternative.mean() - model.mean()) * PER_ROWS
    declared = [gate.confidence for gate in context.use_case.gates if gate.kind == "business_value"]
    confidence = max(declared, default=DEFAULT_CONFIDENCE)
    saving = resample_mean((alternative - model) * PER_ROWS, context.units)
    lower, upper = context.units.interval(saving, confidence=confidence, value=saved)
    model_cost = float(model.mean()) * PER_ROWS
    of_model = resample_mean(model * PER_ROWS, context.units)
    model_lower, model_upper = context.units.interval(of_model, confidence=confidence, value=model_cost)
    return CostComparison(
        currency=cost.currency,
        threshold=context.decision.threshold if context.decision else None,
        expected_costs=context.decision.costs if context.decision else (),
        chosen_on="train" if context.validation is None else "validation",
        model=model_cost,
        model_lower=model_lower,
        model_upper=model_upper,
        baseline=float(baseline.mean()) * PER_ROWS,
        without=float(without.mean()) * PER_ROWS,
        saved=saved,
        lower=lower,
        upper=upper,
        confidence=confidence,
    )
