"""How much better a challenger is than the champion on the same rows, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.declarations import GREATER_IS_BETTER
from include.modeling.evaluation.bootstrap_metrics import resample_metric
from include.modeling.evaluation.metrics import MEASURES

if TYPE_CHECKING:
    from include.declarations import Metric
    from include.modeling.evaluation.bootstrap import DayBootstrap, Values


@dataclass(frozen=True, slots=True)
class Gain:
    """
    How much better the challenger is, in units of the metric; positive is better whatever the metric.

    With `confidence` the true gain is at least `lower`, and with the same confidence at most `upper`, as far
    as the `days` of the test rows can tell.
    """

    metric: str
    value: float
    lower: float
    upper: float
    confidence: float
    days: int
    method: str


def paired_gain(
    metric: Metric,
    target: Values,
    challenger: Values,
    champion: Values,
    *,
    confidence: float,
    days: DayBootstrap,
) -> Gain:
    """
    Compare two models' predictions of the same rows, paired: the days are drawn again, the same for both.

    Efron and Tibshirani 1993, with blocks of days in place of rows.
    """
    sign = 1 if metric in GREATER_IS_BETTER else -1
    new, old = (resample_metric(metric, target, predictions, days) for predictions in (challenger, champion))
    value = sign * (float(MEASURES[metric](target, challenger)) - float(MEASURES[metric](target, champion)))
    lower, upper = days.interval(
        lambda weights: sign * (new(weights) - old(weights)), confidence=confidence, value=value
    )
    return Gain(metric, value, lower, upper, confidence, days.count, f"paired {days.method}")
