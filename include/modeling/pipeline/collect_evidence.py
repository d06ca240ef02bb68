"""What a trial shows, as evidence: metrics and how sure they are, rivals, worth, and what gates ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.declarations import GREATER_IS_BETTER, Improvement
from include.modeling.evaluation.bootstrap_metrics import mean_of, resample_metric
from include.modeling.evaluation.comparison import paired_gain
from include.modeling.evaluation.costs import PER_ROWS, cost_of
from include.modeling.evaluation.evidence import ChampionComparison, CostComparison, Evidence
from include.modeling.evaluation.metrics import compute_metrics as metrics_of
from include.modeling.gates import measure_gates as measure_for_gates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.data.snapshots.splits import Splits
    from include.declarations import Metric
    from include.modeling.evaluation.context import EvaluationContext, ScoredSplit

CONFIDENCE = 0.95  # between both bounds of a metric's interval


def collect_evidence(
    trial: EvaluationContext, *, overlap: int, champions_overlap: int | None, refusals: int
) -> Evidence:
    """
    Return the evidence of a trial, its splits' whole sizes aside.

    `overlap` counts test rows among the candidate's training rows, `champions_overlap` among the champion's
    (None: nobody knows), `refusals` failed attempts since the last promotion.
    """
    use_case, test = trial.use_case, trial.test
    parts: dict[str, ScoredSplit | None] = {
        "train": trial.train,
        "validation": trial.validation,
        "test": test,
    }
    metrics = {
        name: metrics_of(use_case, part.predictions, part.target)
        for name, part in parts.items()
        if part is not None
    }
    naive = metrics_of(use_case, trial.baseline, test.target)
    return Evidence(
        metrics=metrics,
        rows={name: len(part.target) for name, part in parts.items() if part is not None},
        overlap=overlap,
        prediction_range=(float(test.predictions.min()), float(test.predictions.max())),
        days=trial.days.count,
        intervals=_intervals(trial, metrics["test"]),
        baseline=naive,
        skill=_skill(use_case.metric, metrics["test"], naive),
        costs=compare_costs(trial),
        champion=_rivalry(trial, metrics["test"], champions_overlap),
        refusals=refusals,
        measurements=measure_for_gates(trial),
    )


def with_sizes(evidence: Evidence, splits: Splits) -> Evidence:
    """Return the evidence with the sizes of the whole splits, and on how many rows they were measured."""
    whole = {name: len(getattr(splits, name)) for name in evidence.rows}
    sampled = {name: rows for name, rows in evidence.rows.items() if rows < whole[name]}
    return evidence.model_copy(update={"rows": whole, "sampled": sampled})


def compare_costs(trial: EvaluationContext, *, confidence: float = 0.95) -> CostComparison | None:
    """Return what the predictions cost, if the use case says what a wrong one costs."""
    use_case, test = trial.use_case, trial.test
    if use_case.cost is None:
        return None
    thresholds = (
        (trial.threshold, trial.baseline_threshold) if use_case.cost.kind == "decision" else (None, None)
    )
    model = cost_of(use_case.cost, test.target, test.predictions, thresholds[0])
    naive = cost_of(use_case.cost, test.target, trial.baseline, thresholds[1])
    without = _without(trial)
    other = naive if naive.mean() <= without.mean() else without
    saving = mean_of((other - model) * PER_ROWS, trial.days)
    saved = float(other.mean() - model.mean()) * PER_ROWS
    wanted = [gate.confidence for gate in use_case.gates if gate.kind == "business_value"]
    confidence = max(wanted, default=confidence)
    lower, upper = trial.days.interval(saving, confidence=confidence, value=saved)
    return CostComparison(
        currency=use_case.cost.currency,
        threshold=thresholds[0],
        model=float(model.mean()) * PER_ROWS,
        baseline=float(naive.mean()) * PER_ROWS,
        without=float(without.mean()) * PER_ROWS,
        saved=saved,
        lower=lower,
        upper=upper,
        confidence=confidence,
    )


def _without(trial: EvaluationContext) -> np.ndarray:
    """Return what doing without any forecast costs: act always, or never, or expect what was usual."""
    cost, chosen_on, test = trial.use_case.cost, trial.validation or trial.train, trial.test
    if cost is None or cost.kind == "error":
        usual = np.full(len(test.target), np.median(trial.train.target))
        return cost_of(cost, test.target, usual, None) if cost is not None else usual
    always, never = 1.0, 0.0
    costs = {
        what: cost_of(cost, chosen_on.target, np.full(len(chosen_on.target), what), 0.5).mean()
        for what in (always, never)
    }
    return cost_of(cost, test.target, np.full(len(test.target), min(costs, key=costs.__getitem__)), 0.5)


def _intervals(trial: EvaluationContext, metrics: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    found = {}
    for name, value in metrics.items():
        metric: Metric = name  # type: ignore[assignment]
        of_days = resample_metric(metric, trial.test.target, trial.test.predictions, trial.days)
        found[name] = trial.days.interval(of_days, confidence=(1 + CONFIDENCE) / 2, value=value)
    return found


def _rivalry(
    trial: EvaluationContext, own: Mapping[str, float], overlap: int | None
) -> ChampionComparison | None:
    champion, use_case, target = trial.champion, trial.use_case, trial.test.target
    if champion is None:
        return None
    metrics = metrics_of(use_case, champion.predictions, target)
    gates = [
        gate
        for gate in use_case.gates
        if isinstance(gate, Improvement) and gate.metric in {*metrics} & {*own}
    ]
    gains = tuple(
        paired_gain(
            gate.metric, target, trial.test.predictions, champion.predictions,
            confidence=gate.confidence, days=trial.days,
        )
        for gate in gates
    )  # fmt: skip
    return ChampionComparison(version=champion.version, metrics=metrics, gains=gains, overlap=overlap)


def _skill(metric: Metric, model: Mapping[str, float], naive: Mapping[str, float]) -> float | None:
    """Return which share of the way from the naive forecast to perfection the model goes."""
    if metric not in model or metric not in naive:
        return None
    perfect = 1.0 if metric in GREATER_IS_BETTER else 0.0
    left = perfect - naive[metric]
    return (model[metric] - naive[metric]) / left if left else None
