"""Comparison of a candidate's costs with those of the baseline and of no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.modeling.evaluation.bootstrap_metrics import resample_mean
from include.modeling.evaluation.costs import PER_ROWS, row_costs
from include.modeling.evaluation.evidence import CostComparison

if TYPE_CHECKING:
    from include.declarations import AnyCost, UseCase
    from include.modeling.evaluation.bootstrap import Values
    from include.modeling.evaluation.context import EvaluationContext, ScoredSplit

DEFAULT_CONFIDENCE = 0.95


def compare_costs(context: EvaluationContext) -> CostComparison | None:
    """Return the costs per `PER_ROWS` test rows; None if the use case declares no cost."""
    cost = context.use_case.cost
    if cost is None:
        return None
    test = context.test
    threshold = context.threshold if cost.kind == "decision" else None
    baseline_threshold = context.baseline_threshold if cost.kind == "decision" else None
    model = row_costs(cost, test.target, test.predictions, threshold)
    baseline = row_costs(cost, test.target, context.baseline, baseline_threshold)
    without = _costs_without_model(cost, context.train, context.selection, test.target)
    alternative = baseline if baseline.mean() <= without.mean() else without
    saved = float(alternative.mean() - model.mean()) * PER_ROWS
    confidence = _confidence(context.use_case)
    saving = resample_mean((alternative - model) * PER_ROWS, context.days)
    lower, upper = context.days.interval(saving, confidence=confidence, value=saved)
    return CostComparison(
        currency=cost.currency,
        threshold=threshold,
        model=float(model.mean()) * PER_ROWS,
        baseline=float(baseline.mean()) * PER_ROWS,
        without=float(without.mean()) * PER_ROWS,
        saved=saved,
        lower=lower,
        upper=upper,
        confidence=confidence,
    )


def _confidence(use_case: UseCase) -> float:
    declared = [gate.confidence for gate in use_case.gates if gate.kind == "business_value"]
    return max(declared, default=DEFAULT_CONFIDENCE)


def _costs_without_model(cost: AnyCost, train: ScoredSplit, selection: ScoredSplit, target: Values) -> Values:
    """
    Return the costs of rows with this target, shape (n,), without any forecast.

    Decisions are always the same: to act or not, what was cheaper on the rows of `selection`. Of numbers, the
    training median is expected.
    """
    if cost.kind == "error":
        median = np.full(len(target), np.median(train.target))
        return row_costs(cost, target, median, None)
    costs = {}
    for probability in (1.0, 0.0):
        same = np.full(len(selection.target), probability)
        costs[probability] = row_costs(cost, selection.target, same, None).mean()
    cheaper = min(costs, key=costs.__getitem__)
    return row_costs(cost, target, np.full(len(target), cheaper), None)
