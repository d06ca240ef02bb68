"""Each metric as a function of the units' weights: exact, and cheap to resample."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from include.declarations import Metric
    from include.modeling.evaluation.bootstrap import UnitBootstrap, UnitStatistic, Values

# Probability that a metric lies between both bounds of its interval.
CONFIDENCE = 0.95
# scikit-learn clips probabilities at the same value.
EPSILON = float(np.finfo(np.float64).eps)
# Of a precision-recall curve; neighbouring predictions share a threshold beyond that.
MAX_THRESHOLDS = 400


def resample_metric(
    metric: Metric, target: Values, predictions: Values, units: UnitBootstrap
) -> UnitStatistic:
    """
    Return `metric` as a function of the units' weights.

    The rows are read once; a resample then costs as much as there are units. A metric that is a mean over the
    rows needs an entry in `LOSSES` only.

    Parameters
    ----------
    metric : Metric
    target : array of float, shape (n,)
    predictions : array of float, shape (n,) or (n, n_classes)
    units : UnitBootstrap
        Units of the n rows.
    """
    if predictions.ndim == 2:
        return _resample_multiclass(metric, target, predictions, units)
    if metric == "roc_auc":
        return _resample_roc_auc(target, predictions, units)
    if metric == "average_precision":
        return _resample_average_precision(target, predictions, units)
    if metric == "r2":
        return _resample_r2(target, predictions, units)
    if metric == "rmse":
        return _resample_rmse(target, predictions, units)
    return resample_mean(LOSSES[metric](target, predictions), units)


def metric_intervals(
    metrics: Mapping[str, float], target: Values, predictions: Values, units: UnitBootstrap
) -> dict[str, tuple[float, float]]:
    """Return the interval of each metric of these predictions, `CONFIDENCE` between its bounds."""
    statistics = {name: resample_metric(cast("Metric", name), target, predictions, units) for name in metrics}
    return {
        name: units.interval(statistics[name], confidence=(1 + CONFIDENCE) / 2, value=value)
        for name, value in metrics.items()
    }


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
    "mae": lambda target, predictions: np.abs(predictions - target),
}


def _weigh(weights: Values, sums: Values) -> Values:
    """Return the sum of a figure in each resample, shape (n_resamples,), from its sums per unit."""
    # Not `@`: on so few columns the threads of BLAS cost more than the sums.
    resamples: Values = np.einsum("kd,d->k", weights, sums)
    return resamples


def _divide(part: Values, whole: Values) -> Values:
    """Return the quotients, NaN where the divisor is 0."""
    quotients: Values = np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
    return quotients


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
        return 1 - _divide(_weigh(weights, errors), spread)

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
        return _divide(won, pairs)

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
        return _divide(np.sum(precision * gained, axis=1), true_positives[:, -1])

    return average_precision


def _resample_multiclass(
    metric: Metric, target: Values, predictions: Values, units: UnitBootstrap
) -> UnitStatistic:
    """Return a metric of predictions of shape (n, n_classes)."""
    if metric == "roc_auc":
        return _resample_mean_roc_auc(target, predictions, units)
    if metric == "log_loss":
        of_target = predictions[np.arange(len(target)), target.astype(np.intp)]
        return resample_mean(-np.log(np.clip(of_target, EPSILON, 1.0)), units)
    classes = predictions.argmax(axis=1)
    if metric == "accuracy":
        return resample_mean((classes == target).astype(np.float64), units)
    resample = _resample_balanced_accuracy if metric == "balanced_accuracy" else _resample_f1_macro
    return resample(target, classes, predictions.shape[1], units)


def _resample_mean_roc_auc(target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """Return the mean ROC AUC of each class against all others."""
    statistics = [
        _resample_roc_auc((target == code).astype(np.float64), predictions[:, code], units)
        for code in range(predictions.shape[1])
    ]
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


def _resample_balanced_accuracy(
    target: Values, classes: npt.NDArray[np.intp], n_classes: int, units: UnitBootstrap
) -> UnitStatistic:
    hits = _class_sums(np.where(classes == target, target, -1), n_classes, units)
    actual = _class_sums(target, n_classes, units)

    def balanced_accuracy(weights: Values) -> Values:
        recalls = [
            _divide(_weigh(weights, hits[code]), _weigh(weights, actual[code])) for code in range(n_classes)
        ]
        return np.asarray(np.nanmean(recalls, axis=0))

    return balanced_accuracy


def _resample_f1_macro(
    target: Values, classes: npt.NDArray[np.intp], n_classes: int, units: UnitBootstrap
) -> UnitStatistic:
    hits = _class_sums(np.where(classes == target, target, -1), n_classes, units)
    selected = _class_sums(target, n_classes, units) + _class_sums(classes, n_classes, units)

    def f1_macro(weights: Values) -> Values:
        scores = [
            _divide(2 * _weigh(weights, hits[code]), _weigh(weights, selected[code]))
            for code in range(n_classes)
        ]
        return np.asarray(np.mean(np.nan_to_num(scores), axis=0))

    return f1_macro


def _class_sums(codes: Values | npt.NDArray[np.intp], n_classes: int, units: UnitBootstrap) -> Values:
    """Return the rows of each class per unit, shape (n_classes, n_units)."""
    return np.stack([sum_by_unit((codes == code).astype(np.float64), units) for code in range(n_classes)])
