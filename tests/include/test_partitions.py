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
NEW_YORK = partitions.Calendar("day", "America/New_York")


@pytest.mark.parametrize(("partition", "name"), [(DAY, "2013-07-01"), (FIVE, "2013-07-01T05")])
def test_name_of_a_partition_is_parsed_to_the_partition(partition, name):
    assert partitions.format_partition(partition) == name
    assert partitions.format_key([partition]) == name
    assert (partitions.HOURS if partition is FIVE else partitions.DAYS).parse(name) == [partition]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)), st.integers(1, 60))
def test_range_of_hours_is_parsed_to_its_hours(begin, count):
    first = begin.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
    hours = [first + timedelta(hours=n) for n in range(count)]
    assert partitions.HOURS.parse(partitions.format_key(hours)) == hours
    assert partitions.parse_key(partitions.format_key(hours)) == sorted({hour.date() for hour in hours})


def test_day_of_hourly_data_is_its_24_hours():
    assert partitions.HOURS.parse("2013-07-01") == partitions.hours_of(DAY)
    assert len(partitions.HOURS.parse("2013-07-01..2013-07-02")) == 48


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
        partitions.DAYS.parse(key)


def test_partition_that_has_not_begun_is_refused():
    now = datetime(2013, 7, 1, 5, 30, tzinfo=UTC)
    partitions.DAYS.require_started([DAY, FIVE], now)
    with pytest.raises(DataError, match="2013-07-01T06 has not begun yet: it is 2013-07-01 05:30 UTC"):
        partitions.DAYS.require_started([FIVE, FIVE + timedelta(hours=1)], now)


def test_contiguous_ranges_are_separated_by_gaps():
    days = [date(2013, 7, number) for number in (1, 2, 4, 5, 9)]
    assert [partitions.format_key(days_in_range) for days_in_range in partitions.contiguous_ranges(days)] == [
        "2013-07-01..2013-07-02", "2013-07-04..2013-07-05", "2013-07-09"
    ]  # fmt: skip


WEEKS = partitions.Calendar("week")
MONTHS = partitions.Calendar("month")


@pytest.mark.parametrize(
    ("calendar", "key", "names"),
    [
        (WEEKS, "2013-07-01", ["2013-07-01"]),
        (WEEKS, "2013-12-30..2014-01-12", ["2013-12-30", "2014-01-06"]),
        (MONTHS, "2013-12-01..2014-02-28", ["2013-12-01", "2014-01-01", "2014-02-01"]),
        (MONTHS, "2013-07-01..2013-07-31", ["2013-07-01"]),
    ],
)
def test_weeks_and_months_are_named_by_their_first_day(calendar, key, names):
    parsed = calendar.parse(key)
    assert list(map(partitions.format_partition, parsed)) == names
    assert partitions.contiguous_ranges(parsed, calendar) == [parsed]


@pytest.mark.parametrize(
    ("calendar", "key", "message"),
    [
        (WEEKS, "2013-07-03", "does not begin with a week: give its first day, 2013-07-01"),
        (MONTHS, "2013-07-02..2013-08-31", "does not begin with a month: give its first day, 2013-07-01"),
        (MONTHS, "2013-07-01T05", "names hours, but the data comes by month"),
    ],
)
def test_key_within_a_week_or_month_is_refused(calendar, key, message):
    with pytest.raises(DataError, match=message):
        calendar.parse(key)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["hour", "day", "week", "month"]),
    st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo", "Africa/Cairo", "America/Sao_Paulo"]),
)
def test_partitions_follow_each_other_without_gaps(moment, granularity, zone):
    calendar = partitions.Calendar(granularity, zone)
    partition = calendar.partition_at(moment)
    assert calendar.start_of(partition) <= moment < calendar.end_of(partition)
    assert calendar.end_of(partition) == calendar.start_of(calendar.following(partition))
    assert list(calendar.overlapping(moment, calendar.end_of(partition))) == [partition]
    assert calendar.parse(partitions.format_partition(partition)) == [partition]


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2013, 3, 10), 23), (date(2013, 11, 3), 25), (date(2013, 7, 1), 24)],
    ids=["spring", "autumn", "summer"],
)
def test_local_day_has_the_hours_that_its_clocks_leave_it(day, hours):
    york = partitions.Calendar("day", "America/New_York")
    assert york.end_of(day) - york.start_of(day) == timedelta(hours=hours)
    assert york.start_of(day).astimezone(ZoneInfo("America/New_York")).hour == 0
    assert len(list(partitions.HOURS.overlapping(york.start_of(day), york.end_of(day)))) == hours


def test_local_day_that_has_not_begun_is_refused():
    tokyo = partitions.Calendar("day", "Asia/Tokyo")
    evening = datetime(2013, 6, 30, 15, tzinfo=UTC)
    tokyo.require_started([DAY], evening)
    with pytest.raises(DataError, match="2013-07-01 has not begun yet"):
        partitions.DAYS.require_started([DAY], evening)


@pytest.mark.parametrize(
    ("calendar", "known_from", "lag_days", "partition", "run_at", "due_at"),
    [
        (partitions.DAYS, "end", 0, "2013-07-01", "2013-07-01T00", "2013-07-02T00"),
        (partitions.DAYS, "start", 1, "2013-07-01", "2013-07-01T00", "2013-07-02T00"),
        (partitions.DAYS, timedelta(hours=-24), 0, "2013-07-03", "2013-07-01T00", "2013-07-02T00"),
        (partitions.HOURS, "end", 0, "2013-07-01T05", "2013-07-01T05", "2013-07-01T06"),
        (partitions.Calendar("week"), "end", 3, "2013-07-01", "2013-07-10T00", "2013-07-11T00"),
        (partitions.Calendar("month"), "start", 40, "2013-02-01", "2013-03-12T00", "2013-03-13T00"),
        # The day has 23 hours, and a lag of a day ends at midnight all the same.
        (NEW_YORK, "end", 1, "2013-03-09", "2013-03-10T05", "2013-03-11T04"),
        (NEW_YORK, timedelta(hours=6), 1, "2013-11-02", "2013-11-03T04", "2013-11-03T10"),
    ],
)  # fmt: skip
def test_a_run_begins_before_its_partition_is_due(calendar, known_from, lag_days, partition, run_at, due_at):
    declared = partitions.Availability(calendar, known_from, lag_days)
    (parsed,) = calendar.parse(partition)
    assert declared.run_at(parsed) == datetime.fromisoformat(f"{run_at}:00Z")
    due = datetime.fromisoformat(f"{due_at}:00Z")
    assert declared.due_at(parsed) == due
    assert declared.newest_due(due) == parsed
    assert declared.newest_due(due - timedelta(seconds=1)) == calendar.preceding(parsed)


@given(
    st.sampled_from(["hour", "day", "week", "month"]),
    st.sampled_from(["start", "end", timedelta(hours=-30), timedelta(minutes=90), timedelta(days=1)]),
    st.integers(0, 40),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe"]),
    st.datetimes(datetime(2012, 1, 1), datetime(2014, 1, 1), timezones=st.just(UTC)),
)
def test_each_partition_has_a_run_of_its_own(granularity, known_from, lag_days, zone, moment):
    calendar = partitions.Calendar(granularity, "UTC" if granularity == "hour" else zone)
    declared = partitions.Availability(calendar, known_from, lag_days)
    newest = declared.newest_run(moment)
    following = calendar.following(newest)
    assert declared.run_at(newest) <= moment < declared.run_at(following)
    assert calendar.preceding(following) == newest


@pytest.mark.parametrize(
    ("granularity", "known_from", "lag_days", "embargo"),
    [("day", "end", 0, 0), ("day", "end", 2, 2), ("day", "start", 1, 0), ("day", timedelta(hours=30), 0, 1),
     ("day", timedelta(hours=-9), 0, 0), ("hour", "end", 0, 0), ("hour", timedelta(minutes=90), 0, 1)],
)  # fmt: skip
def test_embargo_are_the_days_that_are_not_known_yet(granularity, known_from, lag_days, embargo):
    declared = partitions.Availability(partitions.Calendar(granularity), known_from, lag_days)
    assert declared.embargo_days == embargo
    assert declared.usable_from(DAY) == DAY + timedelta(days=embargo + 1)


def test_partition_that_is_known_before_it_begins_may_run():
    early = partitions.Availability(partitions.DAYS, timedelta(hours=-6))
    early.require_open([DAY], datetime(2013, 6, 30, tzinfo=UTC))
    with pytest.raises(DataError, match="2013-07-01 has not begun yet"):
        early.require_open([DAY], datetime(2013, 6, 29, 23, tzinfo=UTC))
    late = partitions.Availability(partitions.DAYS, "end", 3)
    late.require_open([DAY], datetime(2013, 7, 1, tzinfo=UTC))
