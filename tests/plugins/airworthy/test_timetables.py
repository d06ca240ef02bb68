from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction
from airflow.timetables.simple import PartitionedAssetTimetable
from airflow.utils.types import DagRunType

from airworthy import assets
from airworthy.timetables import (
    DayMapper,
    PublishedPartitionTimetable,
    ingestion_timetable,
    last_ingestion_date,
)
from airworthy_plugin import AirworthyPlugin
from include.declarations import Column, Dataset, FileSource

FIRST = datetime(2013, 7, 1, tzinfo=UTC)
LAST = datetime(2013, 7, 3, tzinfo=UTC)


def declared_dataset(granularity="day", **changes):
    return Dataset(
        name="cars", owner="ann", description="Cars.", source=FileSource(path="cars/{partition}.csv"),
        columns=(Column(name="id", dtype="string"),), key=("id",), first_partition=date(2013, 1, 1),
        granularity=granularity, **changes,
    )  # fmt: skip


@pytest.fixture
def timetable(monkeypatch):
    """Return the timetable as the scheduler has it: serialized and read again."""
    name = "airworthy.timetables."
    registered = {f"{name}{kind.__name__}": kind for kind in AirworthyPlugin.timetables}
    mappers = {f"{name}{kind.__name__}": kind for kind in AirworthyPlugin.partition_mappers}
    monkeypatch.setattr("airflow.plugins_manager.get_timetables_plugins", lambda: registered)
    monkeypatch.setattr("airflow.plugins_manager.get_partition_mapper_plugins", lambda: mappers)
    declared = PublishedPartitionTimetable(assets=assets.inputs_asset("flight_features"))
    return decode_timetable(encode_timetable(declared))


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
        ("2013-07-01..2013-07-03", "2013-07-01..2013-07-03", None),
        ("incomplete 2013-07-01", [], None),
    ],
)
def test_partition_maps_to_itself_unless_incomplete(key, downstream, date):
    assert DayMapper().to_downstream(key) == downstream
    assert DayMapper().to_partition_date(key) == date


@pytest.mark.parametrize(
    ("dataset", "offset", "key_format"),
    [
        (declared_dataset(lag_days=2), -2, "%Y-%m-%d"),
        (declared_dataset("hour", lag_days=1), -24, "%Y-%m-%dT%H"),
    ],
    ids=["days", "hours"],
)
def test_ingestion_runs_as_many_days_later_as_data_lands(dataset, offset, key_format):
    timetable = ingestion_timetable(dataset)
    assert (timetable.run_offset, timetable.key_format) == (offset, key_format)


def test_last_ingestion_is_the_run_of_the_last_partition():
    assert last_ingestion_date(declared_dataset()) is None
    last = declared_dataset(lag_days=2, last_partition=date(2013, 7, 1))
    assert last_ingestion_date(last) == datetime(2013, 7, 3, tzinfo=UTC)
