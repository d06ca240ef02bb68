"""E-processes: against exhaustive calculations, and by simulation of many looks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln, xlog1py, xlogy
from scipy.stats import nchypergeom_fisher

from include.release.analysis.e_processes import (
    ODDS_RATIOS,
    log_e_mean_above,
    log_e_odds_increased,
    log_e_quantile_increased,
    log_e_rate_above,
    log_e_rate_increased,
)

ALPHA = 0.05
N_RUNS = 400
N_LOOKS = 40


def alarms(evidence):
    """Return the share of runs (first axis) whose evidence reached 1/ALPHA at any look (last axis)."""
    return float(np.mean(np.max(evidence, axis=-1) >= np.log(1 / ALPHA)))


def counted(rng, rate, per_look=25):
    """Return cumulative hits and trials of each run and look."""
    hits = rng.binomial(per_look, rate, size=(N_RUNS, N_LOOKS)).cumsum(axis=1)
    return hits, np.broadcast_to(per_look * np.arange(1, N_LOOKS + 1), hits.shape)


def log_likelihood(hits, trials, rate):
    return xlogy(hits, rate) + xlog1py(trials - hits, -rate)


@pytest.mark.parametrize(
    ("old", "new"), [((20, 1000), (40, 1000)), ((0, 50), (3, 20)), ((5, 50), (3, 200)), ((0, 0), (2, 2))]
)
def test_rate_increase_is_mixture_over_largest_likelihood(old, new):
    grid = np.linspace(0, 1, 200_001)
    effect = 0.005
    slope = 0.9
    under = np.minimum(new[0] / new[1], effect + slope * grid)
    largest = np.max(log_likelihood(*old, grid) + log_likelihood(*new, under))
    mixture = sum(betaln(hits + 0.5, trials - hits + 0.5) - betaln(0.5, 0.5) for hits, trials in (old, new))
    result = log_e_rate_increased(old, new, effect=effect, slope=slope)
    assert result == pytest.approx(mixture - largest, abs=1e-3)


@pytest.mark.parametrize(("old", "new"), [((3, 100), (9, 50)), ((300, 800), (250, 400)), ((0, 9), (2, 3))])
def test_odds_increase_is_a_mixture_of_hypergeometrics(old, new):
    arguments = (old[1] + new[1], new[1], old[0] + new[0])
    null = nchypergeom_fisher.logpmf(new[0], *arguments, 1.5)
    ratios = [nchypergeom_fisher.logpmf(new[0], *arguments, 1.5 * factor) - null for factor in ODDS_RATIOS]
    expected = np.logaddexp.reduce(ratios) - np.log(len(ratios))
    result = log_e_odds_increased(([old[0]], [old[1]]), ([new[0]], [new[1]]), ratio=1.5)
    assert result == pytest.approx(expected, abs=1e-6)


def test_strata_without_hits_or_requests_say_nothing():
    empty = (np.zeros(3), np.array([10.0, 0.0, 7.0]))
    assert log_e_odds_increased(empty, empty, ratio=1.2) == pytest.approx(0)
    none = (np.zeros(0), np.zeros(0))
    assert log_e_odds_increased(none, none, ratio=1.2) == pytest.approx(0)


def test_equal_rates_seldom_alarm_however_often_one_looks():
    rng = np.random.default_rng(0)
    old = counted(rng, 0.05)
    new = counted(rng, 0.05)
    assert alarms(log_e_rate_increased(old, new, effect=0.0)) <= ALPHA
    assert alarms(log_e_rate_above(*new, 0.05)) <= ALPHA
    assert alarms(log_e_rate_increased(old, counted(rng, 0.25), effect=0.0)) > 0.95
    assert alarms(log_e_rate_above(*counted(rng, 0.25), 0.05)) > 0.95


def test_increase_below_the_effect_is_no_evidence():
    old = (0, 1_000)
    assert log_e_rate_increased(old, (9, 1_000), effect=0.01) < 0
    assert log_e_rate_increased(old, (60, 1_000), effect=0.01) > 10


def test_champion_whose_rate_changes_does_not_alarm_strata():
    rng = np.random.default_rng(1)
    # The champion's rate and the challenger's share rise together, which deceives a comparison of totals.
    rate = np.linspace(0.01, 0.3, N_LOOKS)
    trials = np.linspace(190, 10, N_LOOKS).astype(int)
    hits = rng.binomial(trials, rate, size=(100, N_LOOKS))
    new_hits = rng.binomial(200 - trials, rate, size=(100, N_LOOKS))
    evidence = []
    for look in range(4, N_LOOKS + 1, 12):
        old = (hits[:, :look], np.broadcast_to(trials, hits.shape)[:, :look])
        new = (new_hits[:, :look], 200 - np.broadcast_to(trials, hits.shape)[:, :look])
        evidence.append(log_e_odds_increased(old, new, ratio=1.0))
    assert alarms(np.stack(evidence, axis=-1)) <= ALPHA
    totals = log_e_rate_increased(
        (hits.sum(axis=1), trials.sum()), (new_hits.sum(axis=1), (200 - trials).sum()), effect=0
    )
    assert np.mean(totals >= np.log(1 / ALPHA)) > 0.9


def test_slower_quantile_alarms_and_equal_does_not():
    rng = np.random.default_rng(2)
    n_edges = 60
    allowed = np.minimum(np.arange(n_edges) + 4, n_edges)

    def histograms(shift):
        values = np.clip(rng.normal(25 + shift, 5, size=(N_RUNS, 600)).astype(int), 0, n_edges)
        counts = np.zeros((N_RUNS, 20, n_edges + 1))
        for look in range(20):
            for value in values[:, 30 * look : 30 * (look + 1)].T:
                np.add.at(counts, (np.arange(N_RUNS), look, value), 1)
        return counts.cumsum(axis=1)

    old = histograms(0)
    for level in (0.5, 0.99):
        assert alarms(log_e_quantile_increased(old, histograms(3), allowed, level=level)) <= ALPHA
    assert alarms(log_e_quantile_increased(old, histograms(9), allowed, level=0.5)) > 0.95


def test_empty_histograms_are_no_evidence():
    empty = np.zeros((2, 11))
    assert (log_e_quantile_increased(empty, empty, np.arange(10), level=0.5) <= 0).all()


def test_mean_above_limit_alarms_and_equal_does_not():
    rng = np.random.default_rng(3)
    equal = rng.beta(1, 3, size=(N_RUNS, 300))
    larger = rng.beta(2, 3, size=(N_RUNS, 300))
    looks = range(10, 300, 10)
    assert alarms(np.stack([log_e_mean_above(equal[:, :n], 0.25) for n in looks], axis=-1)) <= ALPHA
    assert alarms(np.stack([log_e_mean_above(larger[:, :n], 0.25) for n in looks], axis=-1)) > 0.95


def test_mean_cannot_exceed_a_limit_of_one():
    assert log_e_mean_above([1.0, 1.0], 1.0) == 0


@pytest.mark.filterwarnings("error")
def test_effect_of_one_allows_everything():
    assert (log_e_rate_increased(([0, 9], [9, 9]), ([9, 0], [9, 9]), effect=1.0) <= 0).all()
