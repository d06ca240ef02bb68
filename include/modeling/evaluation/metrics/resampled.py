"""Each metric as a function of the units' weights: exact, and cheap to resample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.declarations.metrics import bounds_of, is_own, split_metric, threshold_of
from include.modeling.evaluation.metrics.decisions import (
    DECISION_METRICS,
    count_decisions,
    divide,
    matthews,
)
from include.modeling.evaluation.metrics.own import resample_own
from include.modeling.evaluation.metrics.rows import (
    absolute_errors,
    is_among_top,
    quantile_losses,
    relative_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from include.modeling.evaluation.bootstrap import UnitBootstrap, UnitStatistic, Values

# Probability that a metric lies between both bounds of its interval.
CONFIDENCE = 0.95
# scikit-learn clips probabilities at the same value.
EPSILON = float(np.finfo(np.float64).eps)
# Of a precision-recall curve; neighbouring predictions share a threshold beyond that.
MAX_THRESHOLDS = 400
# Of a distribution of errors, around its median.
MAX_STEPS = 400


def resample_metric(metric: str, target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """
    Return `metric` as a function of the units' weights.

    The rows are read once; a resample then costs as much as there are units. A metric that is a mean over the
    rows needs an entry in `LOSSES` only.

    Parameters
    ----------
    metric : str
    target : array of float, shape (n,)
    predictions : array of float, shape (n,) or (n, n_classes)
    units : UnitBootstrap
        Units of the n rows.
    """
    if is_own(metric):
        return resample_own(metric, target, predictions, units)
    if predictions.ndim == 2:
        return _resample_multiclass(metric, target, predictions, units)
    name, number = split_metric(metric)
    if name in DECISION_METRICS:
        return _resample_decisions(metric, target, predictions, units)
    if number is not None and name == "quantile_loss":
        return resample_mean(quantile_losses(target, predictions, number), units)
    if metric in STATISTICS:
        return STATISTICS[metric](target, predictions, units)
    return resample_mean(LOSSES[metric](target, predictions), units)


def metric_intervals(
    metrics: Mapping[str, float], target: Values, predictions: Values, units: UnitBootstrap
) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric of these predictions, `CONFIDENCE` between its possible bounds."""
    intervals: dict[str, tuple[float, float]] = {}
    for name, value in metrics.items():
        statistic = resample_metric(name, target, predictions, units)
        lower, upper = units.interval(statistic, confidence=(1 + CONFIDENCE) / 2, value=value)
        lowest, highest = bounds_of(name)
        intervals[name] = max(lower, lowest), min(upper, highest)
    return intervals


def resample_mean(values: Values, units: UnitBootstrap) -> UnitStatistic:
    """Return the mean of a figure of each row, shape (n,), as a function of the units' weights."""
    sums = sum_by_unit(values, units)
    rows = sum_by_unit(np.ones(len(values)), units)
    return lambda weights: _weigh(weights, sums) / _weigh(weights, rows)


def sum_by_unit(values: Values, units: UnitBootstrap) -> Values:
    """Return the sums per unit (n_units,), or of several figures (n_figures, n) as (n_figures, n_units)."""
    if values.ndim == 1:
        return np.bincount(units.codes, values, minlength=units.count).astype(np.float64)
    return np.stack([sum_by_unit(row, units) for row in values])


def log_losses(target: Values, predictions: Values) -> Values:
    """Return the log loss of each row, shape (n,)."""
    bounded = np.clip(predictions, EPSILON, 1 - EPSILON)
    return -np.where(target == 1, np.log(bounded), np.log1p(-bounded))


def _squares(target: Values, predictions: Values) -> Values:
    squares: Values = (predictions - target) ** 2
    return squares


LOSSES: dict[str, Callable[[Values, Values], Values]] = {
    "log_loss": log_losses,
    "brier": _squares,
    "mae": absolute_errors,
    "mape": relative_errors,
}


def _weigh(weights: Values, sums: Values) -> Values:
    """Return the sum of a figure in each resample, shape (n_resamples,), from its sums per unit."""
    # Not `@`: on so few columns the threads of BLAS cost more than the sums.
    resamples: Values = np.einsum("kd,d->k", weights, sums)
    return resamples


def _resample_decisions(
    metric: str, target: Values, predictions: Values, units: UnitBootstrap
) -> UnitStatistic:
    counts = sum_by_unit(count_decisions(target, predictions, threshold_of(metric)), units)
    score = DECISION_METRICS[split_metric(metric)[0]]
    return lambda weights: score(np.stack([_weigh(weights, row) for row in counts]))


def _resample_median(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """Count the rows of each unit up to each step; the median of a resample lies among those of its units."""
    values = absolute_errors(target, predictions)
    steps = np.unique(values)
    if len(steps) > MAX_STEPS:
        by_unit = pd.Series(values).groupby(units.codes)
        lowest = by_unit.quantile(0.5, interpolation="lower").min()
        highest = by_unit.quantile(0.5, interpolation="higher").max()
        between = values[(values >= lowest) & (values <= highest)]
        steps = np.unique(np.quantile(between, np.linspace(0, 1, MAX_STEPS)))
    positions = np.clip(np.searchsorted(steps, values, "left"), 0, len(steps) - 1)
    cells = positions * units.count + units.codes
    rows = np.bincount(cells, minlength=len(steps) * units.count).reshape(len(steps), units.count)

    def median(weights: Values) -> Values:
        up_to_step = np.cumsum(
            np.einsum("kd,sd->ks", weights, rows.astype(np.float64), optimize=True), axis=1
        )
        half = up_to_step[:, -1:] / 2
        lower = np.minimum((up_to_step < half).sum(axis=1), len(steps) - 1)
        upper = np.minimum((up_to_step <= half).sum(axis=1), len(steps) - 1)
        middle: Values = steps[lower] / 2 + steps[upper] / 2
        return middle

    return median


def _resample_largest(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    largest = np.full(units.count, -np.inf)
    np.maximum.at(largest, units.codes, absolute_errors(target, predictions))
    return lambda weights: np.max(np.where(weights > 0, largest, -np.inf), axis=1)


def _resample_rmse(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """Scale the errors, because the square of a tiny or huge one is lost."""
    errors = np.abs(predictions - target)
    largest = float(errors.max(initial=0.0)) or 1.0
    mean_squares = resample_mean((errors / largest) ** 2, units)
    return lambda weights: largest * np.sqrt(mean_squares(weights))


def _resample_r2(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    centre = float(target.mean())
    scale = float(np.abs(target - centre).max(initial=0.0)) or 1.0
    centred = (target - centre) / scale
    errors_of_rows = ((predictions - target) / scale) ** 2
    figures = np.stack([np.ones(len(target)), centred, centred**2, errors_of_rows])
    rows, sums, squares, errors = sum_by_unit(figures, units)

    def r2(weights: Values) -> Values:
        spread = _weigh(weights, squares) - _weigh(weights, sums) ** 2 / _weigh(weights, rows)
        return 1 - divide(_weigh(weights, errors), spread)

    return r2


def _resample_roc_auc(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """Count for each pair of units how often a positive row of one ranks above a negative of the other."""
    is_positive = target == 1
    order = np.argsort(predictions[is_positive], kind="stable")
    scores = predictions[is_positive][order]
    score_units = units.codes[is_positive][order]
    wins = np.zeros((units.count, units.count))
    for unit in range(units.count):
        negative = np.sort(predictions[~is_positive & (units.codes == unit)])
        # The mean of both sides counts a tie as half a win.
        ranks = np.searchsorted(negative, scores, "left") + np.searchsorted(negative, scores, "right")
        wins[:, unit] = np.bincount(score_units, ranks / 2, minlength=units.count)
    positives = sum_by_unit(is_positive.astype(np.float64), units)
    negatives = sum_by_unit((~is_positive).astype(np.float64), units)

    def roc_auc(weights: Values) -> Values:
        pairs = _weigh(weights, positives) * _weigh(weights, negatives)
        won = np.einsum("kd,de,ke->k", weights, wins, weights, optimize=True)
        return divide(won, pairs)

    return roc_auc


def _resample_average_precision(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """Count rows and hits of each pair of threshold and unit, from the highest threshold down."""
    thresholds = np.unique(predictions)
    if len(thresholds) > MAX_THRESHOLDS:
        thresholds = np.unique(np.quantile(predictions, np.linspace(0, 1, MAX_THRESHOLDS)))
    positions = np.clip(np.searchsorted(thresholds, predictions, "right") - 1, 0, None)
    cells = (len(thresholds) - 1 - positions) * units.count + units.codes
    shape = (len(thresholds), units.count)
    size = len(thresholds) * units.count
    rows = np.bincount(cells, minlength=size).reshape(shape).astype(np.float64)
    hits = np.bincount(cells, target, minlength=size).reshape(shape)

    def average_precision(weights: Values) -> Values:
        true_positives = np.cumsum(np.einsum("kd,sd->ks", weights, hits, optimize=True), axis=1)
        selected = np.cumsum(np.einsum("kd,sd->ks", weights, rows, optimize=True), axis=1)
        precision = np.divide(true_positives, selected, out=np.zeros_like(true_positives), where=selected > 0)
        gained = np.diff(true_positives, axis=1, prepend=0.0)
        return divide(np.sum(precision * gained, axis=1), true_positives[:, -1])

    return average_precision


def _resample_multiclass(
    metric: str, target: Values, predictions: Values, units: UnitBootstrap
) -> UnitStatistic:
    """Return a metric of predictions of shape (n, n_classes)."""
    name, number = split_metric(metric)
    if metric in {"roc_auc", "average_precision"}:
        return _resample_mean_of_classes(STATISTICS[metric], target, predictions, units)
    if number is not None and name == "top_k_accuracy":
        return resample_mean(is_among_top(target, predictions, int(number)), units)
    if metric == "log_loss":
        of_target = predictions[np.arange(len(target)), target.astype(np.intp)]
        return resample_mean(-np.log(np.clip(of_target, EPSILON, 1.0)), units)
    classes = predictions.argmax(axis=1)
    if metric == "accuracy":
        return resample_mean((classes == target).astype(np.float64), units)
    return _resample_classes(metric, target, classes, predictions.shape[1], units)


def _resample_mean_of_classes(
    resample: Callable[[Values, Values, UnitBootstrap], UnitStatistic],
    target: Values,
    predictions: Values,
    units: UnitBootstrap,
) -> UnitStatistic:
    """Return the mean of a ranking metric of each class against all others."""
    statistics = [
        resample((target == code).astype(np.float64), predictions[:, code], units)
        for code in range(predictions.shape[1])
    ]
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


# Of predictions of shape (n,).
STATISTICS: Mapping[str, Callable[[Values, Values, UnitBootstrap], UnitStatistic]] = {
    "roc_auc": _resample_roc_auc,
    "average_precision": _resample_average_precision,
    "r2": _resample_r2,
    "rmse": _resample_rmse,
    "median_absolute_error": _resample_median,
    "max_error": _resample_largest,
}


def _resample_classes(
    metric: str, target: Values, classes: npt.NDArray[np.intp], n_classes: int, units: UnitBootstrap
) -> UnitStatistic:
    """Return a metric of the counts of hits, predicted and actual rows of each class."""
    hits = _class_sums(np.where(classes == target, target, -1), n_classes, units)
    predicted = _class_sums(classes, n_classes, units)
    actual = _class_sums(target, n_classes, units)
    score = CLASS_METRICS[metric]

    def statistic(weights: Values) -> Values:
        counts = [np.einsum("kd,cd->ck", weights, sums) for sums in (hits, predicted, actual)]
        return score(*counts)

    return statistic


def _resampled_matthews(hits: Values, predicted: Values, actual: Values) -> Values:
    """Return the correlation of several classes (Gorodkin 2004)."""
    rows = actual.sum(axis=0)
    covariance = hits.sum(axis=0) * rows - (predicted * actual).sum(axis=0)
    spread_of_decisions = rows**2 - (predicted**2).sum(axis=0)
    return matthews(covariance, spread_of_decisions, rows**2 - (actual**2).sum(axis=0))


# Each of the counts of rows that are hits, predicted and actual, shape (n_classes, k), to (k,).
CLASS_METRICS: Mapping[str, Callable[[Values, Values, Values], Values]] = {
    "balanced_accuracy": lambda hits, _, actual: np.nanmean(divide(hits, actual), axis=0),
    "recall_macro": lambda hits, _, actual: np.mean(divide(hits, actual), axis=0),
    "precision_macro": lambda hits, predicted, _: np.mean(np.nan_to_num(divide(hits, predicted)), axis=0),
    "f1_macro": lambda hits, predicted, actual: np.mean(
        np.nan_to_num(divide(2 * hits, predicted + actual)), axis=0
    ),
    "matthews_corrcoef": _resampled_matthews,
}


def _class_sums(codes: Values | npt.NDArray[np.intp], n_classes: int, units: UnitBootstrap) -> Values:
    """Return the rows of each class per unit, shape (n_classes, n_units)."""
    return np.stack([sum_by_unit((codes == code).astype(np.float64), units) for code in range(n_classes)])
