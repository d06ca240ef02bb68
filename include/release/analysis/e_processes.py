"""
E-processes: evidence against a hypothesis that may be looked at after every request.

An e-process is nonnegative, and its mean at any stopping time is at most 1 if the hypothesis is true. So it
ever reaches `1 / alpha` with a probability of at most `alpha` (Ville, 1939), however often one looks. All
functions return its natural logarithm and need only counts or sums: nothing is kept between two looks.

Champion and challenger may get their requests in any order and proportion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    # Hits and trials.
    Counts = tuple[ArrayLike, ArrayLike]

PRIOR = 0.5
N_BISECTIONS = 40
# Bets on a mean, as shares of the largest bet that cannot lose more than all.
BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9])
# A bet of `BETS / limit` has a bound.
MIN_LIMIT = 1e-4
# Alternatives to an odds ratio, as factors of the largest one that is allowed.
ODDS_RATIOS = np.array([1.25, 1.6, 2.0, 3.0, 6.0, 20.0, 100.0])
# Terms of a sum that are farther from the largest one, in standard deviations, are left out.
N_SPREADS = 8


def log_e_rate_above(hits: ArrayLike, trials: ArrayLike, limit: float) -> Array:
    """
    Return the evidence against "the rate is at most `limit`", whether or not it is constant, by betting.

    Parameters
    ----------
    hits, trials
        Counts of one binary stream, of any common shape.
    limit
        Rate from 0 to 1.

    Returns
    -------
    array
        Natural logarithms of the same shape.
    """
    n_hits = np.asarray(hits, dtype=float)
    misses = np.asarray(trials, dtype=float) - n_hits
    bets = BETS / max(limit, MIN_LIMIT)
    evidence = [n_hits * np.log1p(bet * (1 - limit)) + misses * np.log1p(-bet * limit) for bet in bets]
    return _log_mean_exp(np.stack(evidence))


def log_e_rate_increased(
    champion: Counts,
    challenger: Counts,
    *,
    effect: float,
    slope: float = 1.0,
) -> Array:
    """
    Return the evidence against "the challenger's rate is at most `effect + slope * champion's`".

    A Beta(½, ½) mixture of the likelihood (Robbins, 1970) is divided by its largest value under the
    hypothesis (universal inference: Wasserman, Ramdas, Balakrishnan, PNAS 2020). The rates are taken as
    constant.

    Parameters
    ----------
    champion, challenger
        Hits and trials, of any common shape.
    effect
        Increase without practical importance.
    slope
        Factor of the champion's rate.

    Returns
    -------
    array
        Natural logarithms of the same shape.
    """
    hits, trials = (np.asarray(values, dtype=float) for values in champion)
    new_hits, new_trials = (np.asarray(values, dtype=float) for values in challenger)
    misses = trials - hits
    new_misses = new_trials - new_hits
    rate = _rate(hits, misses)
    new_rate = _rate(new_hits, new_misses)
    boundary = _rate_on_boundary((hits, misses), (new_hits, new_misses), effect, slope)
    allowed = np.clip(effect + slope * boundary, 0.0, 1.0)
    on_boundary = _log_likelihood(hits, misses, boundary) + _log_likelihood(new_hits, new_misses, allowed)
    unconstrained = _log_likelihood(hits, misses, rate) + _log_likelihood(new_hits, new_misses, new_rate)
    largest = np.where(new_rate <= effect + slope * rate, unconstrained, on_boundary)
    result: Array = _log_mixture(hits, misses) + _log_mixture(new_hits, new_misses) - largest
    return result


def log_e_odds_increased(champion: Counts, challenger: Counts, *, ratio: float) -> Array:
    """
    Return the evidence against "the challenger's odds of a hit are at most `ratio` times the champion's".

    Each stratum, of requests of the same time and size, is judged given its total number of hits (Fisher's
    noncentral hypergeometric distribution), so that neither the share of the traffic nor the champion's rate
    needs to be constant; the strata's likelihood ratios are multiplied, and several alternatives are mixed,
    as in the conditional tests of Lindon, Malek (NeurIPS 2022). Only complete strata may be given.

    Parameters
    ----------
    champion, challenger
        Hits and trials; the last axis counts the strata.
    ratio
        Largest odds ratio without practical importance.

    Returns
    -------
    array
        Natural logarithms with the other axes' shape.
    """
    evidence = log_odds_evidence(champion, challenger, ratio=ratio).sum(axis=-1)
    return _log_mean_exp(evidence)


def log_odds_evidence(champion: Counts, challenger: Counts, *, ratio: float) -> Array:
    """Return the log likelihood ratio of each alternative (first axis) in each stratum (last axis)."""
    hits, trials = (np.asarray(values, dtype=float) for values in champion)
    new_hits, new_trials = (np.asarray(values, dtype=float) for values in challenger)
    strata = (hits + new_hits, trials, new_trials)
    at_limit = _log_hypergeometric_sum(*strata, np.log(ratio))
    evidence = []
    for factor in np.log(ODDS_RATIOS):
        at_alternative = _log_hypergeometric_sum(*strata, np.log(ratio) + factor)
        evidence.append(new_hits * factor + at_limit - at_alternative)
    return np.stack(evidence)


def log_e_quantile_increased(
    champion: ArrayLike, challenger: ArrayLike, allowed: NDArray[np.intp], *, level: float
) -> Array:
    """
    Return the evidence against "the challenger's quantile is within what the champion's allows".

    For each possible quantile of the champion, the evidence that it is another one is multiplied with the
    evidence that the challenger's is above the allowed value; the least favourable of them counts. The counts
    are those of confidence sequences for quantiles (Howard, Ramdas, Bernoulli 2022).

    Parameters
    ----------
    champion, challenger
        Histograms with `K + 1` classes in the last axis; class k holds the values up to edge k, the last one
        all values above the last edge.
    allowed
        For each edge of the champion (K,), the index of the largest edge that the challenger may have.
    level
        Level of the quantile, from 0 to 1.

    Returns
    -------
    array
        Natural logarithms with the other axes' shape.
    """
    old = np.asarray(champion, dtype=float)
    new = np.asarray(challenger, dtype=float)
    n_old = old.sum(axis=-1, keepdims=True)
    n_new = new.sum(axis=-1, keepdims=True)
    up_to = np.cumsum(old, axis=-1)
    below = up_to - old
    is_higher = log_e_rate_above(n_old - up_to, n_old, 1 - level)
    is_lower = log_e_rate_above(below, n_old, level)
    is_other = np.logaddexp(is_higher, is_lower) - np.log(2)
    above_allowed = n_new - np.cumsum(new, axis=-1)[..., allowed]
    is_slower = log_e_rate_above(above_allowed, n_new, 1 - level)
    # A quantile above the last edge allows everything.
    padding = np.zeros((*is_slower.shape[:-1], 1))
    result: Array = np.min(is_other + np.concatenate([is_slower, padding], axis=-1), axis=-1)
    return result


def log_e_mean_above(values: ArrayLike, limit: float) -> Array:
    """
    Return the evidence against "the mean of values in [0, 1] is at most `limit`", by betting.

    The wealth after each value is multiplied by `1 + bet * (value - limit)`; several bets are mixed
    (Waudby-Smith, Ramdas, JRSS B 2024).

    Parameters
    ----------
    values
        Values from 0 to 1; the last axis counts them.
    limit
        Mean from 0 to 1.

    Returns
    -------
    array
        Natural logarithms with the other axes' shape.
    """
    sample = np.asarray(values, dtype=float)
    if limit >= 1:
        return np.zeros(sample.shape[:-1])
    margin = sample - limit
    bets = BETS / max(limit, MIN_LIMIT)
    wealth = [np.log1p(bet * margin).sum(axis=-1) for bet in bets]
    return _log_mean_exp(np.stack(wealth))


def _log_hypergeometric_sum(hits: Array, trials: Array, new_trials: Array, log_ratio: float) -> Array:
    """Return the log normalising constant of Fisher's noncentral hypergeometric distribution."""
    ratio = np.exp(log_ratio)
    least = np.maximum(0, hits - trials)
    most = np.minimum(hits, new_trials)
    linear = ratio * (new_trials + hits) + trials - hits
    # The stable root of the quadratic equation of the mode.
    root = np.sqrt(np.maximum(linear**2 - 4 * (ratio - 1) * ratio * new_trials * hits, 0))
    mode = 2 * ratio * new_trials * hits / np.maximum(linear + root, 1e-300)
    mode = np.clip(np.floor(mode), least, most)
    counts = np.stack([mode, new_trials - mode, hits - mode, trials - hits + mode]) + 0.5
    spread = 1 / np.sqrt((1 / counts).sum(axis=0))
    width = int(np.ceil(N_SPREADS * spread.max(initial=0.0))) + N_SPREADS
    terms = mode[..., None] + np.arange(-width, width + 1)
    total, old, new = (values[..., None] for values in (hits, trials, new_trials))
    inside = (terms >= least[..., None]) & (terms <= most[..., None])
    new_cell = np.where(inside, terms, mode[..., None])
    total, old, new = (values[..., None] for values in (hits, trials, new_trials))
    cells = (new_cell, new - new_cell, total - new_cell, old - total + new_cell)
    # Looking factorials up is several times faster than computing them.
    factorials = _log_factorials(int(max(trials.max(initial=0), new_trials.max(initial=0))))
    log_terms = new_cell * log_ratio - sum(factorials[cell.astype(np.intp)] for cell in cells)
    # The term of the mode is the largest.
    largest = log_terms[..., width]
    sums = np.where(inside, np.exp(log_terms - largest[..., None]), 0.0).sum(axis=-1)
    result: Array = (
        largest + np.log(sums) + factorials[trials.astype(np.intp)] + factorials[new_trials.astype(np.intp)]
    )
    return result


def _log_factorials(largest: int) -> Array:
    """Return the logarithms of 0! to `largest`!."""
    logarithms = np.log(np.maximum(np.arange(largest + 1), 1))
    result: Array = np.cumsum(logarithms)
    return result


def _log_mean_exp(values: Array) -> Array:
    """Return the logarithm of the mean of the exponentials over the first axis."""
    largest = values.max(axis=0)
    result: Array = largest + np.log(np.exp(values - largest).mean(axis=0))
    return result


def _rate(hits: Array, misses: Array) -> Array:
    result: Array = hits / np.maximum(hits + misses, 1.0)
    return result


def _log_mixture(hits: Array, misses: Array) -> Array:
    """Return the logarithm of the likelihood, averaged over a Beta(½, ½) distribution of the rate."""
    from scipy.special import betaln

    result: Array = betaln(hits + PRIOR, misses + PRIOR) - betaln(PRIOR, PRIOR)
    return result


def _log_likelihood(hits: Array, misses: Array, rate: Array) -> Array:
    from scipy.special import xlog1py, xlogy

    result: Array = xlogy(hits, rate) + xlog1py(misses, -rate)
    return result


def _rate_on_boundary(
    champion: tuple[Array, Array], challenger: tuple[Array, Array], effect: float, slope: float
) -> Array:
    """Return the champion's most likely rate if the challenger's is `effect + slope * rate`, by bisection."""
    hits, misses = champion
    new_hits, new_misses = challenger
    shape = np.broadcast_shapes(hits.shape, new_hits.shape)
    low: Array = np.zeros(shape)
    high: Array = np.full(shape, min(1.0, (1.0 - effect) / slope))
    tiny = 1e-12
    for _ in range(N_BISECTIONS):
        rate = (low + high) / 2
        allowed = effect + slope * rate
        increase = hits / np.maximum(rate, tiny) - misses / np.maximum(1 - rate, tiny)
        increase = increase + slope * (
            new_hits / np.maximum(allowed, tiny) - new_misses / np.maximum(1 - allowed, tiny)
        )
        rises = increase > 0
        low = np.where(rises, rate, low)
        high = np.where(rises, high, rate)
    return (low + high) / 2
