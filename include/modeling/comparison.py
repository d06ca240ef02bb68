"""How much better a challenger is than the champion on the same rows, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from include.declarations import Metric

    Values = npt.NDArray[np.float64]

RESAMPLES = 2_000
RANKING_RESAMPLES = 500
SMALLEST = float(np.finfo(np.float64).eps)  # scikit-learn clips probabilities here too


@dataclass(frozen=True, slots=True)
class Gain:
    """
    How much better the challenger is, in units of the metric; positive is better whatever the metric.

    With `confidence` the true gain is at least `lower`, and with the same confidence at most `upper`.
    """

    metric: str
    value: float
    lower: float
    upper: float
    confidence: float
    method: str


def gain(
    metric: Metric, target: Values, challenger: Values, champion: Values, *, confidence: float, seed: int = 0
) -> Gain:
    """
    Compare two models' predictions of the same rows, paired.

    roc_auc by DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988), everything else by the bootstrap
    (Efron and Tibshirani, 1993): the rows are drawn again with replacement, the same for both models.
    """
    rng = np.random.default_rng(seed)
    if metric == "roc_auc":
        value, error = _delong(target, challenger, champion)
        margin = NormalDist().inv_cdf(confidence) * error
        return Gain(metric, value, value - margin, value + margin, confidence, "DeLong")
    if metric == "average_precision":
        new, old = _average_precision(target, challenger), _average_precision(target, champion)
        counts = _counts(len(target), RANKING_RESAMPLES, rng)
        gains = np.array([new(weights) - old(weights) for weights in counts])
        value = new(np.ones(len(target))) - old(np.ones(len(target)))
        method = f"paired bootstrap, {RANKING_RESAMPLES} resamples"
    else:
        rows, combine = _additive(metric, target, challenger, champion)
        # einsum, not @: on so few columns BLAS threads cost more than the sums (7 ms against 25 µs)
        sums = [np.einsum("kn,n->k", rows, weights) for weights in _counts(len(target), RESAMPLES, rng)]
        gains = combine(np.transpose(sums) / len(target))
        value = float(combine(rows.mean(axis=1, keepdims=True))[0])
        method = f"paired bootstrap, {RESAMPLES} resamples"
    lower, upper = np.quantile(gains, [1 - confidence, confidence])
    return Gain(metric, float(value), float(lower), float(upper), confidence, method)


def _counts(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[Values]:
    for _ in range(resamples):
        drawn = rng.integers(0, rows, size=rows, dtype=np.int32)
        yield np.bincount(drawn, minlength=rows).astype(np.float64)


def _additive(
    metric: Metric, target: Values, challenger: Values, champion: Values
) -> tuple[Values, Callable[[Values], Values]]:
    """Return figures per row whose means are all that the metric needs, and how these become the gain."""
    if metric == "log_loss":
        losses = [_log_losses(target, predictions) for predictions in (champion, challenger)]
    elif metric == "mae":
        losses = [np.abs(predictions - target) for predictions in (champion, challenger)]
    else:
        losses = [(predictions - target) ** 2 for predictions in (champion, challenger)]
    if metric == "rmse":
        return np.stack(losses), lambda means: np.sqrt(means[0]) - np.sqrt(means[1])
    if metric == "r2":
        centred = target - target.mean()
        figures = np.stack([losses[0] - losses[1], centred, centred**2])
        return figures, lambda means: means[0] / (means[2] - means[1] ** 2)
    return (losses[0] - losses[1])[None, :], lambda means: means[0]


def _log_losses(target: Values, predictions: Values) -> Values:
    bounded = np.clip(predictions, SMALLEST, 1 - SMALLEST)
    return -np.where(target == 1, np.log(bounded), np.log1p(-bounded))


def _average_precision(target: Values, predictions: Values) -> Callable[[Values], float]:
    """Return average precision as a function of the rows' weights, having sorted them once."""
    order = np.argsort(-predictions, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(predictions[order]) != 0, True))
    positive = target[order]

    def weighted(weights: Values) -> float:
        drawn = weights[order]
        hits, chosen = np.cumsum(drawn * positive)[ends], np.cumsum(drawn)[ends]
        precision = np.divide(hits, chosen, out=np.zeros_like(hits), where=chosen > 0)
        return float(np.sum(precision * np.diff(hits, prepend=0.0)) / max(hits[-1], 1.0))

    return weighted


def _delong(target: Values, challenger: Values, champion: Values) -> tuple[float, float]:
    """Return the difference of two ROC AUCs and its standard error (fast form: Sun and Xu, 2014)."""
    positive = target == 1
    wins, losses = zip(
        *(_placements(predictions, positive) for predictions in (challenger, champion)), strict=True
    )
    difference = wins[0] - wins[1], losses[0] - losses[1]
    variance = sum(float(np.var(part, ddof=1)) / len(part) for part in difference if len(part) > 1)
    return float(difference[0].mean()), variance**0.5


def _placements(predictions: Values, positive: npt.NDArray[np.bool_]) -> tuple[Values, Values]:
    """Return the share of negatives below each positive row, and of positives above each negative one."""
    ranks, count = rankdata(predictions), int(positive.sum())
    above = (ranks[positive] - rankdata(predictions[positive])) / (len(predictions) - count)
    below = 1 - (ranks[~positive] - rankdata(predictions[~positive])) / count
    return above, below
