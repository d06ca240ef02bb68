"""Evidence of an evaluation context: metrics, intervals, comparisons, costs and gate measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from include.modeling.evaluation.bootstrap_metrics import resample_metric
from include.modeling.evaluation.comparison import compare_with_champion
from include.modeling.evaluation.cost_comparison import compare_costs
from include.modeling.evaluation.evidence import Evidence
from include.modeling.evaluation.metrics import compute_metrics, skill_score
from include.modeling.gates.runner import measure_gates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.data.snapshots.leakage_history import LeakageRecord
    from include.declarations import Metric
    from include.modeling.evaluation.context import EvaluationContext

# Probability that a metric lies between both bounds of its interval.
CONFIDENCE = 0.95


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

    Parameters
    ----------
    context : EvaluationContext
    overlap : int
        Test rows that are training rows of the candidate too.
    champion_overlap : int or None
        Test rows that the champion was trained on; None if its training rows are unknown.
    refusals : int
        Failed attempts since the last promotion.
    leakage : LeakageRecord or None
        What the features' own checks found on the snapshot's days.
    """
    use_case = context.use_case
    test = context.test
    splits = context.scored_splits
    metrics = {
        name: compute_metrics(use_case, split.predictions, split.target) for name, split in splits.items()
    }
    intervals = metric_intervals(context, metrics["test"])
    baseline = compute_metrics(use_case, context.baseline, test.target)
    skill = skill_score(use_case.metric, metrics["test"], baseline)
    costs = compare_costs(context)
    champion = compare_with_champion(context, metrics["test"], champion_overlap)
    measurements = measure_gates(context)
    return Evidence(
        metrics=metrics,
        rows={name: split.total_rows for name, split in splits.items()},
        sampled={
            name: len(split.target) for name, split in splits.items() if len(split.target) < split.total_rows
        },
        overlap=overlap,
        prediction_range=(float(test.predictions.min()), float(test.predictions.max())),
        days=context.days.count,
        intervals=intervals,
        baseline=baseline,
        skill=skill,
        costs=costs,
        champion=champion,
        refusals=refusals,
        leakage=leakage,
        measurements=measurements,
    )


def metric_intervals(
    context: EvaluationContext, metrics: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric of the test rows, `CONFIDENCE` between its bounds."""
    test = context.test
    intervals = {}
    for name, value in metrics.items():
        statistic = resample_metric(cast("Metric", name), test.target, test.predictions, context.days)
        intervals[name] = context.days.interval(statistic, confidence=(1 + CONFIDENCE) / 2, value=value)
    return intervals
