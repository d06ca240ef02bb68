from __future__ import annotations

import numpy as np
import pytest

from include.monitoring.quality.change_points import FALSE_ALARM_RATE, find_change_points

FIRST = np.datetime64("2026-01-01")
ROWS = 30


def changes(daily, seed=0):
    """Return the changes of a series of daily means, with noise."""
    random = np.random.default_rng(seed)
    days = np.repeat(FIRST + np.arange(len(daily)), ROWS)
    return find_change_points(np.repeat(daily, ROWS) + random.normal(size=len(days)), days)


def test_change_is_found_with_its_day():
    (change,) = changes([0.0] * 14 + [1.0] * 14)
    assert change["day"] == "2026-01-15"
    assert change["before"] == pytest.approx(0, abs=0.2)
    assert change["after"] == pytest.approx(1, abs=0.2)
    assert change["p_value"] <= FALSE_ALARM_RATE


def test_two_changes_are_found_in_order():
    first, second = changes([0.0] * 10 + [1.0] * 10 + [3.0] * 10)
    assert (first["day"], second["day"]) == ("2026-01-11", "2026-01-21")
    assert second["after"] == pytest.approx(3, abs=0.2)


def test_quiet_series_have_changes_at_the_stated_rate():
    alarms = sum(bool(changes([0.0] * 28, seed)) for seed in range(200))
    # 2 are expected; more than 7 have a probability of 0.1 %.
    assert alarms <= 7


def test_few_days_constant_losses_and_few_rows_have_no_change():
    assert changes([0.0] * 3 + [9.0] * 4) == []
    days = np.repeat(FIRST + np.arange(20), ROWS)
    assert find_change_points(np.zeros(len(days)), days) == []
    assert find_change_points(np.arange(20.0), FIRST + np.arange(20)) == []
