"""The whole ingestion of files by the day and by the hour, and what becomes of bad input."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from airworthy import assets
from include.declarations import FileSource
from include.errors import DataError, PartitionMissing, QualityFailed
from include.partitions import hours_of
from tests.plugins.airworthy.operators.readings import DAY, GOOD, HEADER, NEXT, counts, later, readings


@pytest.fixture
def dataset(declare_dataset):
    return declare_dataset(readings())


@pytest.fixture
def hourly(declare_dataset):
    return declare_dataset(readings(granularity="hour"))


@pytest.fixture
def put(lake):
    def put(name, content=GOOD, suffix="csv"):
        path = Path(lake.uri).parent / "landing" / "readings" / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return put


def test_an_hour_goes_the_whole_way_and_its_neighbours_stay_as_they_are(hourly, put, lake, database, ingest):
    for name in ("2013-07-01T05", "2013-07-01T06"):
        put(name)
        ingest(hourly, name)
    put("2013-07-01T05", GOOD + "more,1.0\n")
    ingest(hourly, "2013-07-01T05")
    assert counts(lake) == {"2013-07-01T05": 51, "2013-07-01T06": 50}


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 11, 3)], ids=["spring", "autumn"])
def test_a_day_on_which_clocks_change_is_24_hours_and_then_it_is_there(
    day, hourly, put, lake, database, ingest
):
    for hour in hours_of(day):
        put(f"{hour:%Y-%m-%dT%H}")
    ingest(hourly, run_type="manual", first=f"{day}")
    assert lake.days("readings") == [day]
    assert len(lake.read("readings", [day])) == 24 * 50


def test_a_bulk_run_of_hours_may_begin_and_end_within_a_day(hourly, put, lake, database, ingest):
    names = ["2013-07-01T23", "2013-07-02T00", "2013-07-02T01"]
    for name in names:
        put(name)
    xcoms = ingest(hourly, run_type="manual", first=names[0], last=names[-1])
    assert sorted(counts(lake)) == names
    assert xcoms["publish", "events"][assets.dataset("readings")].partition_keys == {
        "2013-07-01T23..2013-07-02T01"
    }


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_a_partition_from_the_future_is_refused_before_anything_is_waited_for(
    granularity, declare_dataset, lake, database, ingest
):
    ahead = datetime.now(UTC) + timedelta(days=1)
    name = f"{ahead:%Y-%m-%d}" if granularity == "day" else f"{ahead:%Y-%m-%dT%H}"
    with pytest.raises(DataError, match=f"{name} has not begun yet: it is .* UTC. Run it after it has begun"):
        ingest(declare_dataset(readings(granularity=granularity)), name)


def test_an_hour_is_no_partition_of_days(dataset, lake, database, ingest):
    with pytest.raises(DataError, match="'2013-07-01T05' names hours, but the data comes by day"):
        ingest(dataset, "2013-07-01T05")


def test_a_file_that_comes_late_is_waited_for(dataset, put, lake, database, ingest):
    timer = later(lambda: put(DAY))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_a_file_that_never_comes_fails_with_its_place_and_the_run_goes_on_when_it_is_there(
    declare_dataset, put, lake, database, ingest
):
    dataset = declare_dataset(readings(landing_timeout=timedelta(seconds=0.1)))
    with pytest.raises(
        PartitionMissing, match=r"2013-07-01 did not land within .* is there \(.*/readings/2013-07-01\.csv\)"
    ):
        ingest(dataset, f"{DAY}")
    put(DAY)
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 50}


def line(number, text):
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[:number], text, *lines[number + 1 :]])


BAD = {
    "empty": ("", DataError, r"2013-07-02\.csv is empty: not even a header"),
    "header only": (HEADER, QualityFailed, "rows_per_day|volume|rows"),
    "not UTF-8": (
        GOOD.replace("r7,", "ü7,").encode("latin-1"),
        DataError,
        "is not in UTF-8.* byte 0xfc in line 9",
    ),
    "delimiter": (GOOD.replace(",", ";"), DataError, "delimiter seems to be ';', declared is ','"),
    "column missing": ("id\na\n", DataError, "lacks level; it has id"),
    "column renamed": (GOOD.replace("level", "height"), DataError, "lacks level; it has id, height"),
    "column of another type": (GOOD.replace(".5", "m"), QualityFailed, "level is no number"),
    "most lines broken": (GOOD.replace(".5", ",5"), QualityFailed, "the line could not be read"),
    "half a file": (GOOD[:60], QualityFailed, "rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_publishes_nothing_harms_no_other_partition_and_the_corrected_file_passes(
    name, dataset, put, lake, database, ingest
):
    content, error, complaint = BAD[name]
    for day in (DAY, NEXT):
        put(day)
        ingest(dataset, f"{day}")
    version = lake.version("readings")
    put(NEXT, content)
    with pytest.raises(error, match=complaint):
        ingest(dataset, f"{NEXT}")
    assert (lake.version("readings"), counts(lake)) == (version, {"2013-07-01": 50, "2013-07-02": 50})
    put(NEXT, GOOD + "more,1.0\n")
    ingest(dataset, f"{NEXT}")
    assert counts(lake) == {"2013-07-01": 50, "2013-07-02": 51}


def test_a_truncated_gzip_publishes_nothing_and_the_whole_one_passes(
    declare_dataset, put, lake, database, ingest
):
    dataset = declare_dataset(readings(FileSource(path="readings/{partition}.csv.gz")))
    packed = gzip.compress(GOOD.encode())
    put(DAY, packed[: len(packed) // 2], "csv.gz")
    with pytest.raises(DataError, match=r"2013-07-01\.csv\.gz is cut off: its gzip has no end"):
        ingest(dataset, f"{DAY}")
    assert lake.version("readings") is None
    put(DAY, packed, "csv.gz")
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 50}


@pytest.mark.parametrize(
    "same",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: "".join(f"{','.join(one.split(',')[::-1])}\n" for one in text.splitlines()),
        lambda text: text,
    ],
    ids=["CRLF", "BOM", "reordered", "the same file twice"],
)
def test_the_same_rows_however_written_leave_one_copy(same, dataset, put, lake, database, ingest):
    put(DAY)
    ingest(dataset, f"{DAY}")
    first = lake.read("readings").sort_values("id", ignore_index=True)
    put(DAY, same(GOOD))
    ingest(dataset, f"{DAY}")
    again = lake.read("readings").sort_values("id", ignore_index=True)
    assert again[list(first)].equals(first)


def test_a_line_within_quotes_goes_the_whole_way(dataset, put, lake, database, ingest):
    put(DAY, line(3, '"two\nlines, one ""row""",2.5\n'))
    ingest(dataset, f"{DAY}")
    assert 'two\nlines, one "row"' in set(lake.read("readings")["id"])


def test_a_line_that_is_no_row_waits_in_the_quarantine_as_it_came(dataset, put, lake, database, ingest):
    put(DAY, line(3, "r2,2.5,what is this\n"))
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 49}
    (refused,) = lake.read("readings_quarantine").to_dict("records")
    assert refused["_malformed"] == "r2,2.5,what is this"
    assert refused["_because"] == "it has 3 fields, not 2"
    assert "the line could not be read" in refused["_reasons"]


def test_a_column_that_nobody_declared_is_remarked_on_and_left_out(dataset, put, lake, database, ingest):
    put(DAY, GOOD.replace("\n", ",x\n").replace("level,x", "level,unit"))
    xcoms = ingest(dataset, f"{DAY}")
    (remark,) = xcoms["extract", "remarks"]
    assert remark.endswith("readings/2013-07-01.csv has columns that are not declared: unit")
    assert set(lake.read("readings")) == {"id", "level", "day"}
