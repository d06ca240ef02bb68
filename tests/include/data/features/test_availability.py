from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from include.data.features import availability
from include.data.lake.partition_columns import with_partition_columns
from include.declarations import Column, Dataset, FeatureView, FileSource, ViewSource
from include.declarations.data.features import as_dataset

DAY = date(2013, 1, 10)
HOURS = timedelta(hours=1)


def dataset(**changes):
    values = {
        "name": "gauges",
        "owner": "test",
        "description": "A test's.",
        "source": FileSource(path="gauges/{partition}.csv"),
        "columns": (Column(name="id", dtype="string"), Column(name="at", dtype="timestamp")),
        "key": ("id",),
        "first_partition": date(2013, 1, 1),
    }
    return Dataset(**values | changes)


def view(**changes):
    source = ViewSource(dataset="gauges", **changes.pop("source", {}))
    return FeatureView(
        name="levels",
        owner="test",
        description="A test's.",
        sources=(source,),
        entity="id",
        time="at",
        columns=(Column(name="id", dtype="string"), Column(name="at", dtype="timestamp")),
        **changes,
    )


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, "2013-01-11T00:00"),
        ({"lag_days": 1}, "2013-01-12T00:00"),
        ({"known_from": "start"}, "2013-01-10T00:00"),
        ({"known_from": "start", "lag_days": 1}, "2013-01-11T00:00"),
        ({"known_from": 6 * HOURS, "lag_days": 1}, "2013-01-11T06:00"),
        ({"known_from": -12 * HOURS}, "2013-01-09T12:00"),
    ],
)
def test_a_day_is_known_from_its_end_and_lag_or_as_declared(declared, expected):
    assert dataset(**declared).availability.due_at(DAY) == moment(expected)


@pytest.mark.parametrize(
    ("declared", "partition", "expected"),
    [
        ({"granularity": "month", "lag_days": 1}, "2013-02-01", "2013-03-02T00:00"),
        ({"granularity": "week", "first_partition": date(2012, 12, 31)}, "2013-01-07", "2013-01-14T00:00"),
        ({"time_zone": "America/New_York"}, "2013-03-10", "2013-03-11T04:00"),
        ({"time_zone": "America/New_York", "known_from": "start"}, "2013-03-10", "2013-03-10T05:00"),
    ],
)
def test_a_partition_is_known_from_the_end_in_its_calendar(declared, partition, expected):
    assert dataset(**declared).availability.due_at(date.fromisoformat(partition)) == moment(expected)


@pytest.mark.parametrize(
    ("declared", "day", "lookback_days", "expected"),
    [
        ({"granularity": "week"}, "2013-01-14", 6, ["2013-01-07"]),
        ({"granularity": "week"}, "2013-01-16", 6, ["2013-01-07"]),
        ({"granularity": "week"}, "2013-01-20", 6, ["2013-01-14"]),
        ({"granularity": "week", "lag_days": 2}, "2013-01-21", 8, ["2013-01-07"]),
        ({"granularity": "month"}, "2013-03-15", 30, ["2013-02-01"]),
        ({"granularity": "month"}, "2013-03-31", 30, ["2013-03-01"]),
        ({"time_zone": "America/New_York"}, "2013-03-11", 0, ["2013-03-10"]),
        ({"time_zone": "America/New_York"}, "2013-03-11", 1, ["2013-03-09", "2013-03-10"]),
        ({"time_zone": "Asia/Tokyo"}, "2013-03-11", 0, ["2013-03-11"]),
    ],
)
def test_view_reads_what_has_ended_in_the_calendar(declared, day, lookback_days, expected):
    if declared.get("granularity") == "week":
        declared = declared | {"first_partition": date(2012, 12, 31)}
    source = ViewSource(dataset="gauges", lookback_days=lookback_days)
    read = availability.source_partitions(view(), source, dataset(**declared), date.fromisoformat(day))
    assert [f"{partition}" for partition in read] == expected
    for partition in read:
        readers = availability.reading_partitions(view(), source, dataset(**declared), partition)
        assert date.fromisoformat(day) in readers


def test_an_hour_is_known_from_its_own_end():
    hourly = dataset(granularity="hour")
    assert hourly.availability.due_at(moment("2013-01-10T05:00")) == moment("2013-01-10T06:00")
    assert view(known_from="start").availability.due_at(DAY) == moment("2013-01-10T00:00")


def frame(*times):
    at = pd.to_datetime(list(times), utc=True).as_unit("us")
    return with_partition_columns(pd.DataFrame({"id": "a", "at": at}), DAY)


def test_rows_of_a_total_are_known_when_their_day_is_over():
    rows = frame("2013-01-10T00:00Z", "2013-01-10T23:00Z")
    times = availability.known_at(dataset(), rows, online=False)
    assert set(times) == {pd.Timestamp("2013-01-11T00:00Z")}


def test_an_observation_is_known_when_made_online_when_it_lands():
    observed = dataset(known_at="at")
    rows = frame("2013-01-10T08:00Z", "2013-01-11T02:00Z", None)
    assert availability.known_at(observed, rows, online=False).equals(rows["at"])
    online = availability.known_at(observed, rows, online=True)
    assert online.tolist()[:2] == [pd.Timestamp("2013-01-11T00:00Z"), pd.Timestamp("2013-01-11T02:00Z")]
    assert pd.isna(online[2])


@pytest.mark.parametrize(
    ("of_view", "of_dataset", "expected"),
    [
        ({}, {}, [10]),
        ({"source": {"lookback_days": 2}}, {}, [8, 9, 10]),
        ({"source": {"lookback_days": 2}}, {"lag_days": 1}, [8, 9]),
        ({"source": {"lookback_days": 1}, "known_from": "start"}, {}, [9]),
        ({"source": {"lookback_days": 1}, "known_from": "start"}, {"known_from": "start"}, [9, 10]),
        ({"source": {"lookback_days": 1}, "known_from": 6 * HOURS}, {"known_from": 30 * HOURS}, [9]),
        ({"source": {"lookback_days": 1}, "known_from": 5 * HOURS}, {"known_from": 30 * HOURS}, []),
    ],
)
def test_a_day_is_built_from_days_that_are_known_by_then(of_view, of_dataset, expected):
    declared = view(**of_view)
    read = availability.source_partitions(declared, declared.sources[0], dataset(**of_dataset), DAY)
    assert [day.day for day in read] == expected


def test_a_day_reads_the_hours_that_are_known_when_it_is_built():
    declared = view(known_from=6 * HOURS)
    read = availability.source_partitions(declared, declared.sources[0], dataset(granularity="hour"), DAY)
    assert [hour.hour for hour in read] == [0, 1, 2, 3, 4, 5]


def test_the_first_day_of_the_calendar_has_no_lookback():
    declared = view(source={"lookback_days": 3})
    assert availability.source_partitions(declared, declared.sources[0], dataset(), date.min) == [date.min]


@pytest.mark.parametrize(("lookback", "lag"), [(0, 0), (2, 0), (2, 1), (1, 1), (0, 1)])
@pytest.mark.parametrize("known_from", ["start", "end"])
def test_source_and_reading_partitions_are_inverse(lookback, lag, known_from):
    declared = view(source={"lookback_days": lookback}, known_from=known_from)
    source = declared.sources[0]
    late = dataset(lag_days=lag)
    days = [DAY + timedelta(days=number) for number in range(8)]
    read = set()
    readers = set()
    for day in days:
        sources = availability.source_partitions(declared, source, late, day)
        read |= {(source_day, day) for source_day in sources}
        dependents = availability.reading_partitions(declared, source, late, day)
        readers |= {(day, reader) for reader in dependents}
    inside = set(itertools.product(days, days))
    assert read & inside == readers & inside


def test_rows_of_a_month_are_known_when_it_is_over():
    rows = with_partition_columns(pd.DataFrame({"id": ["a"]}), date(2013, 2, 1))
    times = availability.known_at(dataset(granularity="month"), rows, online=False)
    assert times.tolist() == [pd.Timestamp("2013-03-01T00:00Z")]


@pytest.mark.parametrize(
    ("run", "is_late"),
    [
        ("gauges_ingestion/scheduled__2026-11-29T00:00:00+00:00__2013-01-10__x", True),
        ("gauges_ingestion/backfill__2013-01-10__x", False),
        ("gauges_ingestion/manual__2026-11-29", False),
        ("", False),
    ],
)
def test_only_a_scheduled_run_that_came_late_counts_as_late(lake, run, is_late):
    rows = with_partition_columns(pd.DataFrame({"id": ["a"]}), DAY)
    lake.publish("gauges", rows, [DAY], metadata={"run": run})
    late = availability.late_publications(dataset(), lake)
    assert set(late) == ({DAY} if is_late else set())
    lake.publish("gauges", rows, [DAY], metadata={"run": "gauges_ingestion/backfill__2013-01-10__y"})
    assert availability.late_publications(dataset(), lake) == late
    known_times = availability.known_at(dataset(), rows, online=True, late=late)
    assert (known_times[0] > pd.Timestamp("2013-01-11T00:00Z")) is is_late


def test_a_scheduled_run_in_time_is_not_late(lake):
    rows = with_partition_columns(pd.DataFrame({"id": ["a"]}), DAY)
    lake.publish("gauges", rows, [DAY], metadata={"run": "gauges_ingestion/scheduled__2013-01-11"})
    assert availability.late_publications(dataset(known_from=timedelta(days=20_000)), lake) == {}


@pytest.fixture
def publish(lake, monkeypatch):
    """Return a function that publishes a day of a declared table in a run."""
    levels = view()
    maxima = levels.model_copy(update={"name": "maxima", "sources": (ViewSource(dataset="levels"),)})
    views = {"levels": levels, "maxima": maxima}
    datasets = {"gauges": dataset()}
    sources = datasets | {name: as_dataset(declared, views, datasets) for name, declared in views.items()}
    declared = SimpleNamespace(feature_views=views, sources=sources)
    monkeypatch.setattr(availability, "catalog", lambda: declared)

    def run(table, run_id):
        rows = with_partition_columns(pd.DataFrame({"id": ["a"]}), DAY)
        lake.publish(table, rows, [DAY], metadata={"run": f"{table}/{run_id}__x"})
        return set(availability.late_publications(sources[table], lake))

    return run


@pytest.mark.parametrize(
    ("of_source", "of_view", "is_late"),
    [
        ("scheduled", "asset_triggered", True),
        ("backfill", "asset_triggered", False),
        ("manual", "asset_triggered", False),
        ("scheduled", "backfill", False),
        ("scheduled", "manual", False),
    ],
)
def test_view_is_late_if_its_sources_came_by_schedule(publish, of_source, of_view, is_late):
    publish("gauges", of_source)
    assert publish("levels", of_view) == ({DAY} if is_late else set())
    assert publish("maxima", "asset_triggered") == ({DAY} if is_late else set())
    # Later publications change nothing.
    assert publish("levels", "asset_triggered") == ({DAY} if is_late else set())


def test_view_of_a_source_that_came_again_is_not_late(publish):
    publish("gauges", "scheduled")
    publish("gauges", "scheduled")
    assert publish("levels", "asset_triggered") == set()
