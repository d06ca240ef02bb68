from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from include.modeling.evaluation.bootstrap import MAX_GROUPS, UnitBootstrap, describe_units
from include.modeling.evaluation.metrics.resampled import resample_mean


def test_resamples_have_as_many_days_as_the_window():
    days = UnitBootstrap.of_days(np.repeat(np.arange(14), 3))
    assert days.block == 3
    assert set(days.weights.sum(axis=1)) == {14.0}
    assert days.weights.mean(axis=0) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("n_rows", "n_groups"), [(30, 30), (3_000, MAX_GROUPS), (0, 0)])
def test_undated_rows_are_drawn_in_random_groups(n_rows, n_groups):
    units = UnitBootstrap.of_rows(n_rows)
    assert (units.count, units.block) == (n_groups, 1)
    sizes = np.bincount(units.codes, minlength=n_groups)
    assert not n_rows or sizes.max() - sizes.min() <= 1
    assert units.codes.tolist() == UnitBootstrap.of_rows(n_rows).codes.tolist()


def test_interval_of_undated_rows_is_that_of_their_mean():
    values = np.random.default_rng(1).normal(size=4_000)
    units = UnitBootstrap.of_rows(len(values))
    low, high = units.interval(resample_mean(values, units), confidence=0.975, value=float(values.mean()))
    assert (high - low) / 2 == pytest.approx(1.96 / np.sqrt(len(values)), rel=0.2)


def test_method_says_what_is_drawn():
    assert UnitBootstrap.of_days(np.arange(14)).method == "bootstrap of 14 days in blocks of 3, 2000 times"
    assert UnitBootstrap.of_rows(900).method == "bootstrap of 200 random groups of 900 rows, 2000 times"
    assert describe_units(14, "days") == "14 test days"
    assert describe_units(200, "groups") == "200 random groups of the test rows"


@pytest.mark.parametrize(("n_days", "confidence"), [(7, 0.95), (14, 0.95), (14, 0.99), (28, 0.95)])
def test_bounds_of_few_days_hold_with_their_confidence(n_days, confidence):
    rng = np.random.default_rng(0)
    days = UnitBootstrap.of_days(np.arange(n_days))
    lower = []
    for _ in range(600):
        values = rng.normal(size=n_days)
        statistic = resample_mean(values, days)
        lower.append(days.interval(statistic, confidence=confidence, value=float(values.mean()))[0])
    assert np.mean(np.array(lower) > 0) <= 1 - confidence + 0.025


@pytest.mark.parametrize("n_days", [8, 14, 27])
def test_bounds_are_as_wide_as_independent_days_vary(n_days):
    rng = np.random.default_rng(0)
    days = UnitBootstrap.of_days(np.arange(n_days))
    squares = []
    for _ in range(200):
        values = rng.normal(size=n_days)
        lower, _ = days.interval(resample_mean(values, days), confidence=0.9, value=float(values.mean()))
        squares.append((values.mean() - lower) ** 2)
    student = t.ppf(0.9, np.ceil(n_days / days.block) - 1)
    assert np.mean(squares) * n_days == pytest.approx(student**2, rel=0.08)


@pytest.mark.parametrize(("n_days", "unit"), [(1, "groups"), (4, "groups"), (5, "days")])
def test_rows_are_drawn_instead_of_too_few_days(n_days, unit):
    values = np.random.default_rng(0).normal(size=100 * n_days)
    units = UnitBootstrap.of_days(np.repeat(np.arange(n_days), 100)).or_rows()
    lower, upper = units.interval(resample_mean(values, units), confidence=0.975, value=float(values.mean()))
    assert (units.unit, units.or_rows()) == (unit, units)
    assert lower < values.mean() < upper


def test_two_days_in_one_block_have_no_interval():
    days = UnitBootstrap.of_days(np.arange(2))
    assert days.interval(lambda weights: weights[:, 0], confidence=0.9, value=1.0) == (1.0, 1.0)
