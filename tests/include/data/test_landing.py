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
def inbox(tmp_path):
    (tmp_path / "readings").mkdir()
    return tmp_path


def put(inbox, day, text):
    (inbox / "readings" / f"{day}.csv").write_text(text)


def test_reads_days_in_their_declared_types(inbox, readings):
    put(inbox, DAY, "at,extra,id,count,level\n2013-01-01T10:00:00Z,x,NA,1,0.5\n")
    put(inbox, NEXT, "id,level,count,at\nb,,,2013-01-02T05:00:00-05:00\n")
    frame = Landing(str(inbox)).read(readings(), [DAY, NEXT])
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


def test_reads_parquet_too(inbox, readings):
    rows = {"id": ["a"], "level": [1], "count": [2.0], "at": [pd.Timestamp("2013-01-01", tz="UTC")]}
    pd.DataFrame(rows).to_parquet(inbox / "readings" / f"{DAY}.parquet")
    frame = Landing(str(inbox)).read(readings("parquet"), [DAY])
    assert frame.drop(columns="at").to_dict("records") == [
        {"id": "a", "level": 1.0, "count": 2, "day": "2013-01-01"}
    ]


def test_a_value_that_does_not_parse_stays_for_the_quality_gate(inbox, readings):
    put(inbox, DAY, "id,level,count,at\na,1.5,1,2013-01-01T10:00:00Z\n")
    put(inbox, NEXT, "id,level,count,at\nb,a lot,2,2013-01-01T10:00:00Z\n")
    frame = Landing(str(inbox)).read(readings(), [DAY, NEXT])
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
def test_a_file_that_cannot_be_read_is_named_with_what_is_wrong(inbox, readings, text, complaint):
    put(inbox, DAY, text)
    with pytest.raises(DataError, match=rf"readings/2013-01-01.csv cannot be read: .*{complaint}"):
        Landing(str(inbox)).read(readings(), [DAY])


def test_a_file_with_a_header_only_has_no_rows(inbox, readings):
    put(inbox, DAY, "id,level,count,at\n")
    frame = Landing(str(inbox)).read(readings(), [DAY])
    assert (len(frame), list(frame.columns)) == (0, ["id", "level", "count", "at", "day"])


def test_knows_which_files_have_not_landed(inbox, readings):
    put(inbox, DAY, "id,level,count,at\n")
    landing = Landing(str(inbox))
    assert landing.path(readings(), NEXT) == f"{inbox}/readings/2013-01-02.csv"
    assert landing.missing(readings(), [DAY, NEXT]) == [NEXT]
    with pytest.raises(PartitionMissing, match=r"1 of 2 files have not landed, .*readings/2013-01-02.csv"):
        landing.read(readings(), [DAY, NEXT])


def test_arrivals_land_a_day_after_their_flights(landing):
    days, declared = [date(2013, 1, 3), date(2013, 1, 4), date(2013, 1, 5)], catalog().datasets
    assert landing.missing(declared["flights"], days) == [date(2013, 1, 5)]
    assert landing.missing(declared["arrivals"], days) == [date(2013, 1, 4), date(2013, 1, 5)]
