from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.landing import Landing
from include.declarations import Column, Dataset, FileSource
from include.errors import DataError, PartitionMissing

DAY, NEXT = date(2013, 1, 1), date(2013, 1, 2)


@pytest.fixture
def readings():
    def declare(file_format="csv"):
        return Dataset(
            name="readings",
            owner="test",
            description="A sensor's readings.",
            source=FileSource(path=f"readings/{{partition}}.{file_format}", format=file_format),
            columns=(
                Column(name="id", dtype="string"),
                Column(name="level", dtype="number", nullable=True),
                Column(name="count", dtype="integer", nullable=True),
                Column(name="at", dtype="timestamp"),
            ),
            key=("id",),
            first_partition=DAY,
        )

    return declare


@pytest.fixture
def inbox(place):
    return Landing(f"{place.uri}/inbox", place.options)


@pytest.fixture
def put(place):
    return lambda day, text: place.put(f"inbox/readings/{day}.csv", text.encode())


def test_reads_days_in_their_declared_types(inbox, put, readings):
    put(DAY, "at,extra,id,count,level\n2013-01-01T10:00:00Z,x,NA,1,0.5\n")
    put(NEXT, "id,level,count,at\nb,,,2013-01-02T05:00:00-05:00\n")
    frame = inbox.read(readings(), [DAY, NEXT])
    expected = pd.DataFrame(
        {
            "id": ["NA", "b"],
            "level": [0.5, None],
            "count": pd.array([1, None], dtype="Int64"),
            "at": pd.to_datetime(["2013-01-01T10:00Z", "2013-01-02T10:00Z"]).as_unit("us"),
            "day": ["2013-01-01", "2013-01-02"],
        }
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_reads_parquet_too(inbox, place, readings):
    rows = {"id": ["a"], "level": [1], "count": [2.0], "at": [pd.Timestamp("2013-01-01", tz="UTC")]}
    place.put(f"inbox/readings/{DAY}.parquet", pd.DataFrame(rows).to_parquet())
    frame = inbox.read(readings("parquet"), [DAY])
    assert frame.drop(columns="at").to_dict("records") == [
        {"id": "a", "level": 1.0, "count": 2, "day": "2013-01-01"}
    ]


def test_a_value_that_does_not_parse_stays_for_the_quality_gate(inbox, put, readings):
    put(DAY, "id,level,count,at\na,1.5,1,2013-01-01T10:00:00Z\n")
    put(NEXT, "id,level,count,at\nb,a lot,2,2013-01-01T10:00:00Z\n")
    frame = inbox.read(readings(), [DAY, NEXT])
    assert list(frame["level"]) == ["1.5", "a lot"]
    assert list(frame["count"]) == [1, 2]
    assert str(frame["at"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "Empty CSV file"),
        ("id,level\na,1\n", "it lacks count, at, it has id, level"),
        ("id,level,count,at\na,1\n", "Expected 4 columns, got 2"),
    ],
    ids=["empty", "columns missing", "cut off"],
)
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(inbox, put, readings, text, complaint):
    put(DAY, text)
    with pytest.raises(DataError, match=rf"readings/2013-01-01.csv cannot be read: .*{complaint}"):
        inbox.read(readings(), [DAY])


def test_a_file_with_a_header_only_has_no_rows(inbox, put, readings):
    put(DAY, "id,level,count,at\n")
    frame = inbox.read(readings(), [DAY])
    assert (len(frame), list(frame.columns)) == (0, ["id", "level", "count", "at", "day"])


def test_knows_which_files_have_not_landed(inbox, put, readings):
    put(DAY, "id,level,count,at\n")
    assert inbox.path(readings(), NEXT) == f"{inbox.uri}/readings/2013-01-02.csv"
    assert inbox.missing(readings(), [DAY, NEXT]) == [NEXT]
    with pytest.raises(PartitionMissing, match=r"1 of 2 files have not landed, .*readings/2013-01-02.csv"):
        inbox.read(readings(), [DAY, NEXT])


def test_arrivals_land_a_day_after_their_flights(landing):
    days, declared = [date(2013, 1, 3), date(2013, 1, 4), date(2013, 1, 5)], catalog().datasets
    assert landing.missing(declared["flights"], days) == [date(2013, 1, 5)]
    assert landing.missing(declared["arrivals"], days) == [date(2013, 1, 4), date(2013, 1, 5)]
