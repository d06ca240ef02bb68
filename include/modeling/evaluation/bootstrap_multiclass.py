"""The measures of several classes as functions of how often each day counts, as in `measures`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from include.modeling.evaluation.bootstrap import weighted

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.declarations import Metric
    from include.modeling.evaluation.bootstrap import DayBootstrap, Measure, Values

EPSILON = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities here too


def resample_multiclass_metric(
    metric: Metric,
    target: Values,
    predictions: Values,
    days: DayBootstrap,
    *,
    binary: Callable[[Values, Values, DayBootstrap], Measure],
) -> Measure:
    """
    Return `metric` as a function of the days' weights; `predictions` has a column for each class.

    `binary` gives the ROC AUC of one class against all others, of which the mean is taken.
    """
    classes = np.arange(predictions.shape[1])
    if metric == "roc_auc":
        each = [
            binary((target == place).astype(np.float64), predictions[:, place], days) for place in classes
        ]
        return lambda weights: np.mean([one(weights) for one in each], axis=0)
    if metric == "log_loss":
        said = predictions[np.arange(len(target)), target.astype(np.intp)]
        return _mean(-np.log(np.clip(said, EPSILON, 1.0)), days)
    answers = predictions.argmax(axis=1)
    if metric == "accuracy":
        return _mean((answers == target).astype(np.float64), days)
    hits, actual, said_so = (
        [days.sums(rows.astype(np.float64)) for rows in found]
        for found in (
            [(answers == place) & (target == place) for place in classes],
            [target == place for place in classes],
            [answers == place for place in classes],
        )
    )

    def balanced_accuracy(weights: Values) -> Values:
        recalls = [
            _ratio(weighted(weights, hit), weighted(weights, of))
            for hit, of in zip(hits, actual, strict=True)
        ]
        return np.asarray(np.nanmean(recalls, axis=0))

    def f1_macro(weights: Values) -> Values:
        every = zip(hits, actual, said_so, strict=True)
        scores = [
            _ratio(2 * weighted(weights, hit), weighted(weights, of) + weighted(weights, said))
            for hit, of, said in every
        ]
        return np.asarray(np.mean(np.nan_to_num(scores), axis=0))

    return balanced_accuracy if metric == "balanced_accuracy" else f1_macro


def _mean(values: Values, days: DayBootstrap) -> Measure:
    total, rows = days.sums(values), days.sums(np.ones(len(values)))
    return lambda weights: weighted(weights, total) / weighted(weights, rows)


def _ratio(part: Values, whole: Values) -> Values:
    share: Values = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return share
