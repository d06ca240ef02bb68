"""Ingestion of files, daily and hourly, and of invalid files."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from airworthy import assets
from include.data.reading.table import MALFORMED
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


def test_hour_is_ingested_and_other_hours_stay(hourly, put, lake, database, ingest):
    for name in ("2013-07-01T05", "2013-07-01T06"):
        put(name)
        ingest(hourly, name)
    put("2013-07-01T05", GOOD + "more,1.0\n")
    ingest(hourly, "2013-07-01T05")
    assert counts(lake) == {"2013-07-01T05": 51, "2013-07-01T06": 50}


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 11, 3)], ids=["spring", "autumn"])
def test_day_on_which_clocks_change_has_24_hours(day, hourly, put, lake, database, ingest):
    for hour in hours_of(day):
        put(f"{hour:%Y-%m-%dT%H}")
    ingest(hourly, run_type="manual", first=f"{day}")
    assert lake.days("readings") == [day]
    assert len(lake.read("readings", [day])) == 24 * 50


def test_bulk_run_of_hours_may_start_within_a_day(hourly, put, lake, database, ingest):
    names = ["2013-07-01T23", "2013-07-02T00", "2013-07-02T01"]
    for name in names:
        put(name)
    xcoms = ingest(hourly, run_type="manual", first=names[0], last=names[-1])
    assert sorted(counts(lake)) == names
    assert xcoms["publish", "events"][assets.dataset("readings")].partition_keys == {
        "2013-07-01T23..2013-07-02T01"
    }


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_future_partition_is_refused(granularity, declare_dataset, lake, database, ingest):
    ahead = datetime.now(UTC) + timedelta(days=1)
    name = f"{ahead:%Y-%m-%d}" if granularity == "day" else f"{ahead:%Y-%m-%dT%H}"
    with pytest.raises(DataError, match=f"{name} has not begun yet: it is .* UTC. Run it after it has begun"):
        ingest(declare_dataset(readings(granularity=granularity)), name)


def test_hour_of_a_daily_dataset_is_refused(dataset, lake, database, ingest):
    with pytest.raises(DataError, match="'2013-07-01T05' names hours, but the data comes by day"):
        ingest(dataset, "2013-07-01T05")


def test_late_file_is_ingested(dataset, put, lake, database, ingest):
    timer = later(lambda: put(DAY))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_missing_file_fails_and_is_ingested_after_it_landed(declare_dataset, put, lake, database, ingest):
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


INVALID = {
    "empty": ("", DataError, r"2013-07-02\.csv is empty: not even a header"),
    "header only": (HEADER, QualityFailed, "rows_per_day|volume|rows"),
    "not UTF-8": (
        GOOD.replace("r7,", "ü7,").encode("latin-1"),
        DataError,
        "is not encoded in UTF-8: byte 0xfc in line 9",
    ),
    "delimiter": (GOOD.replace(",", ";"), DataError, "delimiter seems to be ';', declared is ','"),
    "column missing": ("id\na\n", DataError, "lacks level; it has id"),
    "column renamed": (GOOD.replace("level", "height"), DataError, "lacks level; it has id, height"),
    "column of another type": (GOOD.replace(".5", "m"), QualityFailed, "level is no number"),
    "most lines broken": (GOOD.replace(".5", ",5"), QualityFailed, "the line could not be read"),
    "a quote on each line": (
        HEADER + GOOD.removeprefix(HEADER).replace(",", ',"'),
        QualityFailed,
        "the line could not be read",
    ),
    "half a file": (GOOD[:60], QualityFailed, "rows"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_file_is_not_published_until_corrected(name, dataset, put, lake, database, ingest):
    content, error, message = INVALID[name]
    for day in (DAY, NEXT):
        put(day)
        ingest(dataset, f"{day}")
    version = lake.version("readings")
    put(NEXT, content)
    with pytest.raises(error, match=message):
        ingest(dataset, f"{NEXT}")
    assert (lake.version("readings"), counts(lake)) == (version, {"2013-07-01": 50, "2013-07-02": 50})
    put(NEXT, GOOD + "more,1.0\n")
    ingest(dataset, f"{NEXT}")
    assert counts(lake) == {"2013-07-01": 50, "2013-07-02": 51}


def test_truncated_gzip_is_not_published_until_complete(declare_dataset, put, lake, database, ingest):
    dataset = declare_dataset(readings(FileSource(path="readings/{partition}.csv.gz")))
    compressed = gzip.compress(GOOD.encode())
    put(DAY, compressed[: len(compressed) // 2], "csv.gz")
    with pytest.raises(DataError, match=r"2013-07-01\.csv\.gz is cut off: its gzip has no end"):
        ingest(dataset, f"{DAY}")
    assert lake.version("readings") is None
    put(DAY, compressed, "csv.gz")
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 50}


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: "".join(f"{','.join(row.split(',')[::-1])}\n" for row in text.splitlines()),
        lambda text: text,
    ],
    ids=["CRLF", "BOM", "reordered", "the same file twice"],
)
def test_same_rows_in_another_form_leave_one_copy(rewrite, dataset, put, lake, database, ingest):
    put(DAY)
    ingest(dataset, f"{DAY}")
    first = lake.read("readings").sort_values("id", ignore_index=True)
    put(DAY, rewrite(GOOD))
    ingest(dataset, f"{DAY}")
    second = lake.read("readings").sort_values("id", ignore_index=True)
    assert second[list(first)].equals(first)


def test_declared_line_break_within_quotes_is_published(declare_dataset, put, lake, database, ingest):
    dataset = declare_dataset(readings(FileSource(path="readings/{partition}.csv", multiline=True)))
    put(DAY, line(3, '"two\nlines, one ""row""",2.5\n'))
    ingest(dataset, f"{DAY}")
    assert 'two\nlines, one "row"' in set(lake.read("readings")["id"])


def test_malformed_line_goes_to_the_quarantine(dataset, put, lake, database, ingest):
    put(DAY, line(3, "r2,2.5,what is this\n"))
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 49}
    (rejected,) = lake.read("readings_quarantine").to_dict("records")
    assert rejected[MALFORMED] == "line 4: it has 3 fields, not 2: r2,2.5,what is this"
    assert "the line could not be read" in rejected["_reasons"]


def test_undeclared_column_is_remarked_and_left_out(dataset, put, lake, database, ingest):
    put(DAY, GOOD.replace("\n", ",x\n").replace("level,x", "level,unit"))
    xcoms = ingest(dataset, f"{DAY}")
    (remark,) = xcoms["extract", "remarks"]
    assert remark.endswith("readings/2013-07-01.csv has columns that are not declared: unit")
    assert set(lake.read("readings")) == {"id", "level", "_airworthy_day"}
