"""Comparison of a candidate with the champion on the same test rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.declarations import Improvement, NonInferiority, is_greater_better
from include.declarations.risk import standard_gates
from include.modeling.evaluation.alpha_spending import spent_confidence
from include.modeling.evaluation.evidence import ChampionComparison, Gain
from include.modeling.evaluation.metrics import metric_function
from include.modeling.evaluation.metrics.resampled import resample_metric

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.declarations import Metric, UseCase
    from include.modeling.evaluation.bootstrap import UnitBootstrap, Values
    from include.modeling.evaluation.context import EvaluationContext

# Of each bound of a gain that no gate asks for.
DEFAULT_CONFIDENCE = 0.95


def compare_with_champion(
    context: EvaluationContext,
    metrics: Mapping[str, Mapping[str, float]],
    overlap: int | None,
    *,
    attempt: int = 1,
) -> ChampionComparison | None:
    """
    Return the champion's metrics, and the gains on it: in the use case's metric, and those that gates need.

    Parameters
    ----------
    context : EvaluationContext
    metrics : mapping
        Metrics on the test rows: `test` of the candidate, `champion` of the champion.
    overlap : int or None
        Test rows that the champion was trained on; None if its training rows are unknown.
    attempt : int
        Number of the attempt against this champion, from 1.

    Returns
    -------
    ChampionComparison or None
        None without a champion.
    """
    champion = context.champion
    if champion is None:
        return None
    if champion.predictions is None:
        return ChampionComparison(
            version=champion.version, metrics={}, gains=(), overlap=overlap, problem=champion.problem
        )
    gains = []
    for metric, confidence in _requested_gains(context.use_case):
        if metric in metrics["test"] and metric in metrics["champion"]:
            gain = paired_gain(
                metric,
                context.test.target,
                context.test.predictions,
                champion.predictions,
                confidence=confidence,
                units=context.units,
                attempt=attempt,
            )
            gains.append(gain)
    return ChampionComparison(
        version=champion.version, metrics=metrics["champion"], gains=tuple(gains), overlap=overlap
    )


def _requested_gains(use_case: UseCase) -> list[tuple[Metric, float]]:
    """Return metric and confidence of each gain that a gate needs, and that of the use case's metric."""
    gates = (*use_case.gates, *standard_gates(use_case))
    compared = [gate for gate in gates if isinstance(gate, Improvement | NonInferiority)]
    requested = list(dict.fromkeys((gate.metric, gate.confidence) for gate in compared))
    if use_case.metric not in dict(requested):
        requested.append((use_case.metric, DEFAULT_CONFIDENCE))
    return requested


def paired_gain(
    metric: Metric,
    target: Values,
    challenger: Values,
    champion: Values,
    *,
    confidence: float,
    units: UnitBootstrap,
    attempt: int = 1,
) -> Gain:
    """
    Return the gain of one model on another, from resampled units that are the same for both.

    Paired bootstrap (Efron and Tibshirani 1993), with blocks of days, or groups of rows, in place of rows.

    Parameters
    ----------
    metric : Metric
    target : array of float, shape (n,)
    challenger, champion : array of float, shape (n,) or (n, n_classes)
        Predictions of the same n rows.
    confidence : float
        Probability of the upper bound, and of the lower bounds of all attempts together.
    units : UnitBootstrap
    attempt : int
        Number of the attempt against this champion, from 1.
    """
    sign = 1 if is_greater_better(metric) else -1
    new = resample_metric(metric, target, challenger, units)
    old = resample_metric(metric, target, champion, units)
    value_of = metric_function(metric)
    value = sign * float(value_of(target, challenger) - value_of(target, champion))

    def gain(weights: Values) -> Values:
        return sign * (new(weights) - old(weights))

    lower_confidence = spent_confidence(confidence, attempt)
    lower, upper = units.interval(gain, confidence=confidence, value=value, lower_confidence=lower_confidence)
    return Gain(
        metric=metric,
        value=value,
        lower=lower,
        upper=upper,
        confidence=confidence,
        units=units.count,
        method=f"paired {units.method}",
        unit=units.unit,
        attempt=attempt,
        lower_confidence=lower_confidence,
    )
