from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include import partitions
from include.errors import DataError

DAY = date(2013, 7, 1)
FIVE = datetime(2013, 7, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(("partition", "name"), [(DAY, "2013-07-01"), (FIVE, "2013-07-01T05")])
def test_name_of_a_partition_is_parsed_to_the_partition(partition, name):
    assert partitions.format_partition(partition) == name
    assert partitions.format_key([partition]) == name
    assert partitions.parse_partition(name, "hour" if partition is FIVE else "day") == [partition]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(1, 60))
def test_range_of_hours_is_parsed_to_its_hours(begin, count):
    first = begin.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    hours = [first + timedelta(hours=n) for n in range(count)]
    assert partitions.parse_partition(partitions.format_key(hours), "hour") == hours
    assert partitions.parse_key(partitions.format_key(hours)) == sorted({hour.date() for hour in hours})


def test_day_of_hourly_data_is_its_24_hours():
    assert partitions.parse_partition("2013-07-01", "hour") == partitions.hours_of(DAY)
    assert len(partitions.parse_partition("2013-07-01..2013-07-02", "hour")) == 48


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 11, 3)], ids=["spring", "autumn"])
def test_day_on_which_clocks_change_has_24_hours(day):
    york = ZoneInfo("America/New_York")
    hours = partitions.hours_of(day)
    assert (
        hours[0].astimezone(york).utcoffset() != (hours[-1] + timedelta(days=1)).astimezone(york).utcoffset()
    )
    assert len({partitions.format_partition(hour) for hour in hours}) == 24
    assert partitions.end_of(hours[-1]) == partitions.start_of(day + timedelta(days=1))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("1 July", "is no partition: give 2013-07-01, 2013-07-01T05"),
        ("2013-07-01T25", "is no partition"),
        ("2013-07-02..2013-07-01", "ends before it begins"),
        ("2013-07-01T05", "names hours, but the data comes by day"),
    ],
)
def test_invalid_key_is_refused_with_an_example(key, message):
    with pytest.raises(DataError, match=message):
        partitions.parse_partition(key)


def test_partition_that_has_not_begun_is_refused():
    now = datetime(2013, 7, 1, 5, 30, tzinfo=UTC)
    partitions.require_started([DAY, FIVE], now)
    with pytest.raises(DataError, match="2013-07-01T06 has not begun yet: it is 2013-07-01 05:30 UTC"):
        partitions.require_started([FIVE, FIVE + timedelta(hours=1)], now)


def test_contiguous_ranges_are_separated_by_gaps():
    days = [date(2013, 7, number) for number in (1, 2, 4, 5, 9)]
    assert [partitions.format_key(days_in_range) for days_in_range in partitions.contiguous_ranges(days)] == [
        "2013-07-01..2013-07-02", "2013-07-04..2013-07-05", "2013-07-09"
    ]  # fmt: skip
