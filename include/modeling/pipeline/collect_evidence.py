"""Evidence of an evaluation context: metrics, intervals, comparisons, costs and gate measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.modeling.evaluation.comparison import compare_with_champion
from include.modeling.evaluation.cost_comparison import compare_costs
from include.modeling.evaluation.evidence import Evidence
from include.modeling.evaluation.metrics import compute_metrics, skill_score, undefined_metrics
from include.modeling.evaluation.metrics.resampled import metric_intervals
from include.modeling.gates.runner import measure_gates

if TYPE_CHECKING:
    from include.data.snapshots.leakage_history import LeakageRecord
    from include.declarations import Metric
    from include.modeling.evaluation.context import EvaluationContext


def collect_evidence(
    context: EvaluationContext,
    *,
    overlap: int,
    champion_overlap: int | None,
    refusals: int,
    leakage: LeakageRecord | None = None,
) -> Evidence:
    """
    Return the evidence of an evaluation.

    `overlap` counts test rows that are training rows too, `champion_overlap` those that the champion was
    trained on (None if its training rows are unknown), `refusals` failed attempts since the last promotion.
    `leakage` is what the features' own checks found on the snapshot's days.
    """
    test = context.test
    splits = context.scored_splits
    metrics = measure_metrics(context)
    skill = skill_score(context.use_case.metric, metrics["test"], metrics["baseline"])
    intervals = metric_intervals(metrics["test"], test.target, test.predictions, context.units.or_rows())
    champion = compare_with_champion(context, metrics, champion_overlap, attempt=refusals + 1)
    costs = compare_costs(context)
    measurements = measure_gates(context)
    return Evidence(
        metrics={name: metrics[name] for name in splits},
        rows={name: split.total_rows for name, split in splits.items()},
        sampled={
            name: len(split.target) for name, split in splits.items() if len(split.target) < split.total_rows
        },
        undefined=_undefined(context),
        overlap=overlap,
        prediction_range=(float(test.predictions.min()), float(test.predictions.max())),
        units=context.units.count,
        unit=context.units.unit,
        intervals=intervals,
        baseline=metrics["baseline"],
        skill=skill,
        costs=costs,
        champion=champion,
        refusals=refusals,
        leakage=leakage,
        measurements=measurements,
    )


def measure_metrics(context: EvaluationContext) -> dict[str, dict[str, float]]:
    """Return the metrics of each split, and those of `baseline` and `champion` on the test rows."""
    use_case = context.use_case
    target = context.test.target
    metrics = {}
    for name, split in context.scored_splits.items():
        metrics[name] = compute_metrics(use_case, split.predictions, split.target)
    metrics["baseline"] = compute_metrics(use_case, context.baseline, target)
    if context.champion is not None and context.champion.predictions is not None:
        metrics["champion"] = compute_metrics(use_case, context.champion.predictions, target)
    return metrics


def _undefined(context: EvaluationContext) -> dict[str, dict[Metric, str]]:
    """Return why metrics are undefined, by split and metric, and for the `champion` on the test rows."""
    reasons = {
        name: undefined_metrics(context.use_case, split.predictions, split.target)
        for name, split in context.scored_splits.items()
    }
    champion = context.champion
    if champion is not None and champion.predictions is not None:
        reasons["champion"] = undefined_metrics(context.use_case, champion.predictions, context.test.target)
    return reasons
