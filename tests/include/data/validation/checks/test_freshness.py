"""Freshness: the newest moment of each partition is near the partition's end."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.data.validation.batch import Batch
from include.data.validation.checks.freshness import FreshnessCheck, format_duration
from include.data.validation.statistics import AcceptedStatistics
from include.declarations import Freshness
from include.partitions import Calendar

DAY = date(2013, 1, 1)
CHECK = FreshnessCheck(Freshness(column="seen", within=timedelta(hours=3)))


def seen_at(*moments):
    values = pd.to_datetime(list(moments), utc=True).as_unit("us")
    batch = Batch.of(pd.DataFrame({"seen": values, "_airworthy_day": f"{DAY}"}), [DAY])
    return AcceptedStatistics.of([batch], moments=["seen"])


@pytest.mark.parametrize(
    ("moments", "example"),
    [
        (["2013-01-01T10:00Z", "2013-01-01T20:59Z"], "2013-01-01: 2013-01-01 20:59:00+00:00"),
        (["2013-01-01T10:00Z", "2031-01-01T10:00Z"], "2013-01-01: 2031-01-01 10:00:00+00:00"),
        ([None, None], "2013-01-01: no moment at all"),
    ],
    ids=["stale", "future", "none"],
)
def test_partition_that_is_not_fresh_blocks(moments, example):
    result = CHECK.result(seen_at(*moments))
    assert (result.success, result.blocking) == (False, True)
    assert result.message == "the newest seen is not within 3 hours of the partition's end"
    assert result.examples == (example,)


def test_fresh_partition_passes():
    result = CHECK.result(seen_at("2013-01-01T10:00Z", "2013-01-01T21:00Z"))
    assert (result.success, result.message) == (True, "")
    assert result.observed == "2013-01-01 21:00:00+00:00"


def test_end_of_a_local_day_counts():
    values = pd.to_datetime(["2013-01-02T03:00Z"], utc=True).as_unit("us")
    frame = pd.DataFrame({"seen": values, "_airworthy_day": f"{DAY}"})
    york = Calendar("day", "America/New_York")
    statistics = AcceptedStatistics.of([Batch.of(frame, [DAY], york)], moments=["seen"])
    assert CHECK.result(statistics).success
    strict = FreshnessCheck(Freshness(column="seen", within=timedelta(hours=1)))
    assert not strict.result(statistics).success


def test_stale_partition_with_severity_warning_does_not_block():
    freshness = Freshness(column="seen", within=timedelta(hours=3), severity="warning")
    result = FreshnessCheck(freshness).result(seen_at("2013-01-01T10:00Z"))
    assert (result.success, result.blocking) == (False, False)


def test_freshness_of_an_hour_is_measured_from_its_end():
    hours = [datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in (4, 5)]
    values = pd.to_datetime(["2013-01-01T04:50Z", "2013-01-01T04:55Z"]).as_unit("us")
    frame = pd.DataFrame({"seen": values, "_airworthy_day": "2013-01-01", "_airworthy_hour": ["04", "05"]})
    statistics = AcceptedStatistics.of([Batch.of(frame, hours)], moments=["seen"])
    result = FreshnessCheck(Freshness(column="seen", within=timedelta(minutes=30))).result(statistics)
    assert result.examples == ("2013-01-01T05: 2013-01-01 04:55:00+00:00",)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(days=2), "2 days"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=1.5), "1.5 seconds"),
    ],
)
def test_duration_has_its_largest_whole_unit(duration, text):
    assert format_duration(duration) == text
