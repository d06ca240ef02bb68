from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pendulum
import pytest

from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables import trigger
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.utils.types import DagRunType

from airworthy import assets
from airworthy.timetables import (
    DayMapper,
    LandingTimetable,
    NightTimetable,
    PublishedHourTimetable,
    PublishedPartitionTimetable,
    first_ingestion_date,
    last_ingestion_date,
)
from airworthy_plugin import AirworthyPlugin
from include.declarations import Column, Dataset, FileSource

FIRST = datetime(2013, 7, 1, tzinfo=UTC)
LAST = datetime(2013, 7, 3, tzinfo=UTC)


def declared_dataset(granularity="day", **changes):
    values = {
        "name": "cars", "owner": "ann", "description": "Cars.", "key": ("id",),
        "source": FileSource(path="cars/{partition}.csv"), "granularity": granularity,
        "columns": (Column(name="id", dtype="string"),), "first_partition": date(2013, 1, 1),
    }  # fmt: skip
    return Dataset(**values | changes)


def weekly(**changes):
    return declared_dataset("week", first_partition=date(2013, 1, 7), **changes)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """Register the plugin's timetables."""
    name = "airworthy.timetables."
    timetables = {f"{name}{kind.__name__}": kind for kind in AirworthyPlugin.timetables}
    mappers = {f"{name}{kind.__name__}": kind for kind in AirworthyPlugin.partition_mappers}
    monkeypatch.setattr("airflow.plugins_manager.get_timetables_plugins", lambda: timetables)
    monkeypatch.setattr("airflow.plugins_manager.get_partition_mapper_plugins", lambda: mappers)


def read_again(timetable):
    """Return the timetable as the scheduler has it."""
    return decode_timetable(encode_timetable(timetable))


def scheduled(dataset, earliest, count):
    """Return key and time of the first runs that the scheduler plans."""
    timetable = read_again(LandingTimetable(dataset.availability))
    runs = [None]
    for _ in range(count):
        restriction = TimeRestriction(earliest=pendulum.instance(earliest), latest=None, catchup=True)
        runs.append(timetable.next_dagrun_info_v2(last_dagrun_info=runs[-1], restriction=restriction))
    return [(run.partition_key, f"{run.run_after.in_timezone('UTC'):%Y-%m-%d %H:%M}") for run in runs[1:]]


@pytest.fixture
def timetable(request):
    declared = getattr(request, "param", PublishedPartitionTimetable)
    return read_again(declared(assets=assets.inputs_asset("flight_features")))


def test_serialized_timetable_is_read_again(timetable):
    assert type(timetable) is PublishedPartitionTimetable
    assert [key.name for key, _ in timetable.asset_condition.iter_assets()] == ["flight_features_inputs"]
    assert type(timetable.get_partition_mapper(name="flight_features_inputs")) is DayMapper


def test_timetable_follows_assets_and_can_be_backfilled(timetable):
    assert timetable.periodic
    assert timetable.partitioned
    assert isinstance(timetable, PartitionedAssetTimetable)
    assert not PartitionedAssetTimetable.periodic, "use Airflow's own timetable: it can be backfilled"


def test_clock_starts_no_run(timetable):
    unrestricted = TimeRestriction(earliest=FIRST, latest=None, catchup=True)
    assert timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=unrestricted) is None


def test_backfill_has_one_run_a_day(timetable):
    infos = list(timetable.iter_partition_dagrun_infos(earliest=FIRST, latest=LAST))
    assert [info.partition_key for info in infos] == ["2013-07-01", "2013-07-02", "2013-07-03"]
    assert infos[0].partition_date == FIRST


@pytest.mark.parametrize("timetable", [PublishedHourTimetable], indirect=True)
def test_backfill_of_hours_has_one_run_an_hour(timetable):
    assert type(timetable) is PublishedHourTimetable
    infos = list(timetable.iter_partition_dagrun_infos(earliest=FIRST, latest=FIRST.replace(hour=2)))
    assert [info.partition_key for info in infos] == ["2013-07-01T00", "2013-07-01T01", "2013-07-01T02"]
    assert infos[2].partition_date == FIRST.replace(hour=2)


def test_backfills_of_a_day_have_different_run_ids(timetable):
    run_ids = {
        timetable.generate_run_id(
            run_type=DagRunType.BACKFILL_JOB, run_after=FIRST, data_interval=None, partition_key="2013-07-01"
        )
        for _ in range(2)
    }
    assert len(run_ids) == 2
    assert all("2013-07-01" in run_id for run_id in run_ids)


@pytest.mark.parametrize(
    ("key", "downstream", "date"),
    [
        ("2013-07-01", "2013-07-01", FIRST),
        ("2013-07-01T00", "2013-07-01T00", FIRST),
        ("2013-07-01..2013-07-03", "2013-07-01..2013-07-03", None),
        ("incomplete 2013-07-01", [], None),
    ],
)
def test_partition_maps_to_itself_unless_incomplete(key, downstream, date):
    assert DayMapper().to_downstream(key) == downstream
    assert DayMapper().to_partition_date(key) == date


@pytest.mark.parametrize(
    ("dataset", "earliest", "runs"),
    [
        (
            declared_dataset(), datetime(2013, 7, 1, tzinfo=UTC),
            [("2013-07-01", "2013-07-01 00:00"), ("2013-07-02", "2013-07-02 00:00")],
        ),
        (
            declared_dataset(lag_days=1, known_from=timedelta(hours=6)), datetime(2013, 7, 2, tzinfo=UTC),
            [("2013-07-01", "2013-07-02 00:00"), ("2013-07-02", "2013-07-03 00:00")],
        ),
        (
            declared_dataset(known_from=timedelta(hours=-6)), datetime(2013, 7, 1, tzinfo=UTC),
            [("2013-07-02", "2013-07-01 00:00"), ("2013-07-03", "2013-07-02 00:00")],
        ),
        (
            declared_dataset("hour", lag_days=1), datetime(2013, 7, 2, tzinfo=UTC),
            [("2013-07-01T00", "2013-07-02 00:00"), ("2013-07-01T01", "2013-07-02 01:00")],
        ),
        (
            declared_dataset("hour", known_from=timedelta(minutes=90)), datetime(2013, 7, 1, 5, tzinfo=UTC),
            [("2013-07-01T04", "2013-07-01 05:00"), ("2013-07-01T05", "2013-07-01 06:00")],
        ),
        (
            weekly(lag_days=2), datetime(2013, 7, 2, tzinfo=UTC),
            [("2013-06-24", "2013-07-02 00:00"), ("2013-07-01", "2013-07-09 00:00")],
        ),
        (
            declared_dataset("month"), datetime(2013, 12, 15, tzinfo=UTC),
            [("2013-12-01", "2013-12-31 00:00"), ("2014-01-01", "2014-01-31 00:00"),
             ("2014-02-01", "2014-02-28 00:00")],
        ),
        (
            declared_dataset(time_zone="America/New_York", lag_days=1), datetime(2013, 3, 9, 5, tzinfo=UTC),
            [("2013-03-08", "2013-03-09 05:00"), ("2013-03-09", "2013-03-10 05:00"),
             ("2013-03-10", "2013-03-11 04:00"), ("2013-03-11", "2013-03-12 04:00")],
        ),
        (
            declared_dataset(time_zone="America/New_York"), datetime(2013, 11, 3, 4, tzinfo=UTC),
            [("2013-11-03", "2013-11-03 04:00"), ("2013-11-04", "2013-11-04 05:00")],
        ),
        (
            weekly(time_zone="Asia/Tokyo"), datetime(2013, 7, 6, 15, tzinfo=UTC),
            [("2013-07-01", "2013-07-06 15:00")],
        ),
    ],
    ids=["days", "morning after", "evening before", "hours", "late hours", "weeks", "months", "spring",
         "autumn", "weeks in a zone"],
)  # fmt: skip
def test_airflow_runs_before_a_partition_is_due(dataset, earliest, runs):
    assert scheduled(dataset, earliest, len(runs)) == runs
    for key, started in runs:
        (partition,) = dataset.calendar.parse(key)
        due = dataset.availability.due_at(partition)
        assert datetime.fromisoformat(f"{started}Z") < due


@pytest.mark.parametrize(
    ("dataset", "keys"),
    [
        (weekly(), ["2013-07-01", "2013-07-08"]),
        (declared_dataset("month"), ["2013-07-01"]),
        (declared_dataset(time_zone="America/New_York"), [f"2013-07-{day:02}" for day in range(1, 15)]),
    ],
    ids=["weeks", "months", "days in a zone"],
)
def test_backfill_has_one_run_for_each_partition(dataset, keys):
    timetable = read_again(LandingTimetable(dataset.availability))
    end = datetime(2013, 7, 14, tzinfo=UTC)
    infos = list(timetable.iter_partition_dagrun_infos(earliest=FIRST, latest=end))
    assert [info.partition_key for info in infos] == keys
    assert infos[0].partition_date == dataset.calendar.start_of(date(2013, 7, 1))


def test_first_ingestion_is_the_run_of_the_first_partition():
    assert first_ingestion_date(declared_dataset(lag_days=2)) == datetime(2013, 1, 3, tzinfo=UTC)
    hourly = declared_dataset("hour", first_partition=date(2011, 1, 1))
    assert first_ingestion_date(hourly) == datetime(2011, 1, 1, tzinfo=UTC)


def test_last_ingestion_is_the_run_of_the_last_partition():
    assert last_ingestion_date(declared_dataset()) is None
    last = declared_dataset(lag_days=2, last_partition=date(2013, 7, 1))
    assert last_ingestion_date(last) == datetime(2013, 7, 3, tzinfo=UTC)
    hourly = declared_dataset("hour", last_partition=date(2013, 7, 1))
    assert last_ingestion_date(hourly) == datetime(2013, 7, 1, 23, tzinfo=UTC)
    in_zone = declared_dataset(time_zone="America/New_York", lag_days=1, last_partition=date(2013, 11, 3))
    assert last_ingestion_date(in_zone) == datetime(2013, 11, 4, 5, tzinfo=UTC)
    assert last_ingestion_date(weekly(last_partition=date(2013, 7, 1))) == datetime(2013, 7, 7, tzinfo=UTC)


@pytest.fixture
def next_run(monkeypatch):
    """Return a function that says when a schedule of 2 o'clock runs next, at noon on 20 July 2013."""
    monkeypatch.setattr(trigger, "utcnow", lambda: pendulum.datetime(2013, 7, 20, 12))
    timetable = read_again(NightTimetable("0 2 * * *", timezone="UTC"))

    def find(last, *, catchup=False):
        restriction = TimeRestriction(earliest=pendulum.instance(FIRST), latest=None, catchup=catchup)
        interval = DataInterval.exact(pendulum.instance(last)) if last else None
        run = timetable.next_dagrun_info(last_automated_data_interval=interval, restriction=restriction)
        return run.run_after

    return find


def test_new_schedule_runs_first_in_the_next_night(next_run):
    assert next_run(None) == datetime(2013, 7, 21, 2, tzinfo=UTC)


def test_missed_night_is_made_up_for(next_run):
    assert next_run(datetime(2013, 7, 18, 2, tzinfo=UTC)) == datetime(2013, 7, 20, 2, tzinfo=UTC)


def test_schedule_that_catches_up_begins_with_the_start_date(next_run):
    assert next_run(None, catchup=True) == datetime(2013, 7, 1, 2, tzinfo=UTC)
