from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from include.monitoring.quality.maturity import is_maturing, landing_times, measure_maturity

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def moments(*days_before):
    return pd.Series(pd.Timestamp(NOW) - pd.to_timedelta(days_before, unit="D"))


def test_curve_rises_until_labels_are_mature():
    predicted = moments(*[10] * 200)
    landed = moments(*[9.5] * 100, *[7.5] * 90, *[5.5] * 10)
    curve = measure_maturity(predicted, landed, NOW)
    assert curve["shares"] == pytest.approx([0, 0.5, 0.5, 0.95, 0.95, 1, 1, 1, 1, 1, 1])
    assert curve["mature_after"] == 3


def test_recent_predictions_do_not_count_as_never_labelled():
    predicted = moments(*[10] * 100, *[0.5] * 100)
    landed = pd.concat([moments(*[9] * 100), pd.Series([pd.NaT] * 100)], ignore_index=True)
    curve = measure_maturity(predicted, pd.to_datetime(landed, utc=True), NOW)
    assert curve["shares"][:2] == [0, 1]


def test_few_predictions_have_no_curve():
    assert measure_maturity(moments(*[10] * 99), moments(*[9] * 99), NOW) == {}


def test_labels_that_never_came_are_never_mature():
    never = pd.Series(pd.NaT, index=range(100)).dt.tz_localize("UTC")
    assert measure_maturity(moments(*[2] * 100), never, NOW)["mature_after"] is None


def test_landing_time_is_that_of_the_partition():
    days = pd.Series(["2026-01-01", None, "2026-01-02"])
    times = landing_times(days, {"2026-01-01": NOW})
    assert times[0] == pd.Timestamp(NOW)
    assert times[1:].isna().all()


def test_window_matures_with_its_age():
    window = (NOW - timedelta(days=9), NOW - timedelta(days=2))
    assert is_maturing(window, {"mature_after": 3}, NOW)
    assert not is_maturing(window, {"mature_after": 2}, NOW)
    assert not is_maturing(window, {}, NOW)
