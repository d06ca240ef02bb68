"""Every metric as a function of how often each day counts: exact, and cheap to draw again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.modeling.evaluation import bootstrap_multiclass
from include.modeling.evaluation.bootstrap import weighted

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.declarations import Metric
    from include.modeling.evaluation.bootstrap import DayBootstrap, Measure, Values

EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities here too
STEPS = 400  # thresholds of a precision-recall curve


def resample_metric(metric: Metric, target: Values, predictions: Values, days: DayBootstrap) -> Measure:
    """
    Return `metric` of these predictions as a function of the days' weights (resamples x days).

    It costs one pass over the rows; afterwards a resample costs as much as there are days. A metric that is
    a mean over the rows needs an entry in `LOSSES` only.
    """
    if predictions.ndim == 2:
        return bootstrap_multiclass.resample_multiclass_metric(
            metric, target, predictions, days, binary=_roc_auc
        )
    if metric == "roc_auc":
        return _roc_auc(target, predictions, days)
    if metric == "average_precision":
        return _average_precision(target, predictions, days)
    if metric == "r2":
        return _r2(target, predictions, days)
    mean = mean_of(LOSSES["mse" if metric == "rmse" else metric](target, predictions), days)
    return (lambda weights: np.sqrt(mean(weights))) if metric == "rmse" else mean


def ratio(part: Values, whole: Values) -> Values:
    """Return the quotient, where there is one."""
    quotient: Values = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return quotient


def mean_of(values: Values, days: DayBootstrap) -> Measure:
    """Return the mean of a figure of each row, as a function of the days' weights."""
    total, rows = days.sums(values), days.sums(np.ones(len(values)))
    return lambda weights: weighted(weights, total) / weighted(weights, rows)


def log_losses(target: Values, predictions: Values) -> Values:
    """Return the log loss of each row."""
    bounded = np.clip(predictions, EPSILON, 1 - EPSILON)
    return -np.where(target == 1, np.log(bounded), np.log1p(-bounded))


def _squares(target: Values, predictions: Values) -> Values:
    squared: Values = (predictions - target) ** 2
    return squared


LOSSES: dict[str, Callable[[Values, Values], Values]] = {
    "log_loss": log_losses,
    "brier": _squares,
    "mse": _squares,
    "mae": lambda target, predictions: np.abs(predictions - target),
}


def _r2(target: Values, predictions: Values, days: DayBootstrap) -> Measure:
    centred = target - target.mean()
    rows, sums, squares, errors = days.sums(
        np.stack([np.ones(len(target)), centred, centred**2, _squares(target, predictions)])
    )

    def r2(weights: Values) -> Values:
        count = weighted(weights, rows)
        spread = weighted(weights, squares) - weighted(weights, sums) ** 2 / count
        explained: Values = 1 - weighted(weights, errors) / spread
        return explained

    return r2


def _roc_auc(target: Values, predictions: Values, days: DayBootstrap) -> Measure:
    """Count for each pair of days how often a positive row of one is above a negative one of the other."""
    positive = target == 1
    order = np.argsort(predictions[positive], kind="stable")
    scores, of_day = predictions[positive][order], days.places[positive][order]
    wins = np.zeros((days.count, days.count))
    for day in range(days.count):
        negative = np.sort(predictions[~positive & (days.places == day)])
        above = np.searchsorted(negative, scores, "left") + np.searchsorted(negative, scores, "right")
        wins[:, day] = np.bincount(of_day, above / 2, minlength=days.count)
    positives, negatives = days.sums(positive.astype(float)), days.sums((~positive).astype(float))

    def roc_auc(weights: Values) -> Values:
        pairs = weighted(weights, positives) * weighted(weights, negatives)
        won = np.einsum("kd,de,ke->k", weights, wins, weights, optimize=True)
        return ratio(won, pairs)

    return roc_auc


def _average_precision(target: Values, predictions: Values, days: DayBootstrap) -> Measure:
    """Of more than `STEPS` different predictions, neighbours share a threshold."""
    different = np.unique(predictions)
    if len(different) > STEPS:
        different = np.unique(np.quantile(predictions, np.linspace(0, 1, STEPS)))
    step = len(different) - 1 - np.clip(np.searchsorted(different, predictions, "right") - 1, 0, None)
    cells, shape = step * days.count + days.places, (len(different), days.count)
    size = len(different) * days.count
    rows = np.bincount(cells, minlength=size).reshape(shape).astype(np.float64)
    hits = np.bincount(cells, target, minlength=size).reshape(shape)

    def average_precision(weights: Values) -> Values:
        found = np.cumsum(np.einsum("kd,sd->ks", weights, hits, optimize=True), axis=1)
        chosen = np.cumsum(np.einsum("kd,sd->ks", weights, rows, optimize=True), axis=1)
        precision = np.divide(found, chosen, out=np.zeros_like(found), where=chosen > 0)
        gained = np.diff(found, axis=1, prepend=0.0)
        total = found[:, -1]
        return ratio(np.sum(precision * gained, axis=1), total)

    return average_precision
