from __future__ import annotations

import dataclasses
import gzip
from datetime import date, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.sources import files
from include.data.sources.files import Landing
from include.declarations import Column, Dataset, FileSource
from include.errors import DataError, PartitionMissing
from include.partitions import hours_of
from tests.include.data.sources.extracts import frame_of, malformed_of, misfits_of

ON_BOTH_STORES = True

DAY = date(2013, 1, 1)
NEXT = date(2013, 1, 2)


def parquet_of(**columns):
    return pd.DataFrame(columns).to_parquet()


@pytest.fixture
def readings():
    def declare(file_format="csv", suffix="", granularity="day"):
        return Dataset(
            name="readings",
            owner="test",
            description="A sensor's readings.",
            source=FileSource(path=f"readings/{{partition}}.{file_format}{suffix}", format=file_format),
            columns=(
                Column(name="id", dtype="string"),
                Column(name="level", dtype="number", nullable=True),
                Column(name="count", dtype="integer", nullable=True),
                Column(name="at", dtype="timestamp"),
            ),
            key=("id",),
            first_partition=DAY,
            granularity=granularity,
        )

    return declare


@pytest.fixture
def inbox(storage_root):
    return Landing(f"{storage_root.uri}/inbox", storage_root.options)


@pytest.fixture
def put(storage_root):
    def put(name, content, suffix="csv"):
        storage_root.write(
            f"inbox/readings/{name}.{suffix}", content.encode() if isinstance(content, str) else content
        )

    return put


def test_days_are_read_in_their_declared_types(inbox, put, readings):
    put(DAY, "at,extra,id,count,level\n2013-01-01T10:00:00Z,x,NA,1,0.5\n")
    put(NEXT, "id,level,count,at\nb,,,2013-01-02T05:00:00-05:00\n")
    frame = frame_of(inbox.read(readings(), [DAY, NEXT]))
    expected = pd.DataFrame(
        {
            "id": ["NA", "b"],
            "level": [0.5, None],
            "count": pd.array([1, None], dtype="Int64"),
            "at": pd.to_datetime(["2013-01-01T10:00Z", "2013-01-02T10:00Z"]).as_unit("us"),
            "_airworthy_day": ["2013-01-01", "2013-01-02"],
        }
    )
    pd.testing.assert_frame_equal(frame, expected)


def test_parquet_is_read(inbox, put, readings):
    moment = pd.Timestamp("2013-01-01", tz="UTC")
    put(DAY, parquet_of(id=["a"], level=[1], count=[2.0], at=[moment]), "parquet")
    frame = frame_of(inbox.read(readings("parquet"), [DAY]))
    assert frame.drop(columns="at").to_dict("records") == [
        {"id": "a", "level": 1.0, "count": 2, "_airworthy_day": "2013-01-01"}
    ]


def test_value_that_does_not_parse_is_a_misfit_of_its_row(inbox, put, readings):
    put(DAY, "id,level,count,at\na,1.5,1,2013-01-01T10:00:00Z\n")
    put(NEXT, "id,level,count,at\nb,a lot,2,2013-01-01T10:00:00Z\n")
    extract = inbox.read(readings(), [DAY, NEXT])
    assert misfits_of(extract) == {"level": {1: "a lot"}}
    frame = frame_of(extract)
    assert (frame["level"].isna().tolist(), list(frame["count"])) == ([False, True], [1, 2])


GOOD = "id,level,count,at\na,1.5,1,2013-01-01T10:00:00Z\nb,2.5,2,2013-01-01T11:00:00Z\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: not even a header"),
        (b"\n\n", "is empty: not even a header"),
        (b"id,level\na,1\n", "lacks count, at; it has id, level"),
        (GOOD.replace("level", "height").encode(), "lacks level; it has id, height, count, at"),
        (GOOD.replace(",", ";").encode(), "lacks .*Its delimiter seems to be ';', declared is ','"),
        (
            GOOD.replace("a,1.5", "ä,1.5").encode("latin-1"),
            "is not encoded in UTF-8: byte 0xe4 in line 2",
        ),
        (GOOD.encode("utf-16"), "is not encoded in UTF-8: byte 0xff in line 1"),
        (GOOD.replace("level,", "id,level,").encode(), "has id twice"),
    ],
    ids=["empty", "blank", "missing", "renamed", "delimiter", "latin-1", "utf-16", "twice"],
)
def test_undeclared_layout_is_named_with_the_reason(inbox, put, readings, content, message):
    put(DAY, content)
    with pytest.raises(DataError, match=rf"readings/2013-01-01.csv {message}.* Have it sent again"):
        inbox.read(readings(), [DAY])
    put(DAY, GOOD)
    assert len(frame_of(inbox.read(readings(), [DAY]))) == 2


def test_file_with_only_a_header_has_no_rows(inbox, put, readings):
    put(DAY, "id,level,count,at\n")
    frame = frame_of(inbox.read(readings(), [DAY]))
    assert (len(frame), list(frame.columns)) == (0, ["id", "level", "count", "at", "_airworthy_day"])


def test_undeclared_column_is_remarked_and_left_out(inbox, put, readings):
    put(DAY, GOOD.replace("level", "wind,level").replace("a,", "a,7,").replace("b,", "b,8,"))
    extract = inbox.read(readings(), [DAY])
    assert extract.remarks == (
        f"{inbox.uri}/readings/2013-01-01.csv has columns that are not declared: wind",
    )
    assert list(frame_of(extract)["level"]) == [1.5, 2.5]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\n\n").encode(),
        lambda text: text.rstrip().encode(),
        lambda text: text.replace("1.5", '"1.5"').encode(),
    ],
    ids=["BOM", "CRLF", "blank lines", "no end of line", "quotes"],
)
def test_file_of_another_tool_has_the_same_rows(inbox, put, readings, change):
    put(DAY, GOOD)
    plain = inbox.read(readings(), [DAY])
    put(DAY, change(GOOD))
    changed = inbox.read(readings(), [DAY])
    pd.testing.assert_frame_equal(frame_of(plain), frame_of(changed))
    assert plain.remarks == changed.remarks == ()


def test_line_with_wrong_number_of_fields_is_malformed(inbox, put, readings):
    put(DAY, GOOD + "c,3\nd,4,4,2013-01-01T12:00:00Z,what\n")
    put(NEXT, GOOD)
    extract = inbox.read(readings(), [DAY, NEXT])
    assert malformed_of(extract) == [
        (4, "c,3", "it has 2 fields, not 4"),
        (5, "d,4,4,2013-01-01T12:00:00Z,what", "it has 5 fields, not 4"),
    ]
    rows = frame_of(extract)
    assert rows["_airworthy_day"].value_counts().to_dict() == {"2013-01-01": 4, "2013-01-02": 2}
    assert (list(rows["level"].dropna()), list(rows["count"].dropna())) == ([1.5, 2.5] * 2, [1, 2] * 2)
    assert (str(rows["level"].dtype), str(rows["at"].dtype)) == ("float64", "datetime64[us, UTC]")


def test_file_that_was_cut_off_lacks_the_last_line(inbox, put, readings):
    put(DAY, GOOD[: GOOD.index("b,") + 5])
    extract = inbox.read(readings(), [DAY])
    assert list(frame_of(extract)["id"].dropna()) == ["a"]
    assert [text for _, text, _ in malformed_of(extract)] == ["b,2.5"]


JSONL = """
{"id": "a", "level": 1.5, "count": 1, "at": "2013-01-01T10:00:00Z"}
{"at": "2013-01-01T06:00:00-05:00", "count": null, "level": 2, "id": "b"}
"""


def test_json_lines_are_read(inbox, put, readings):
    put(DAY, JSONL, "jsonl")
    frame = frame_of(inbox.read(readings("jsonl"), [DAY]))
    assert frame.drop(columns="at").astype(object).replace({pd.NA: None}).to_dict("records") == [
        {"id": "a", "level": 1.5, "count": 1, "_airworthy_day": "2013-01-01"},
        {"id": "b", "level": 2.0, "count": None, "_airworthy_day": "2013-01-01"},
    ]
    assert list(frame["at"].dt.hour) == [10, 11]


def test_json_line_that_is_no_object_is_malformed(inbox, put, readings):
    put(DAY, JSONL + '{"id": "c", \n[1, 2]\n', "jsonl")
    extract = inbox.read(readings("jsonl"), [DAY])
    lines = malformed_of(extract)
    assert [(number, text) for number, text, _ in lines] == [(4, '{"id": "c", '), (5, "[1, 2]")]
    assert lines[1][2] == "it is no JSON object, but list"
    assert list(frame_of(extract)["level"].dropna()) == [1.5, 2.0]


@pytest.mark.parametrize(
    ("before", "after", "column"),
    [
        ('"a"', "5", "id"),
        ("1.5", '"a lot"', "level"),
        ('"count": 1', '"count": 1.5', "count"),
        ("10:00:00Z", "10:00:00", "at"),
    ],
    ids=["number for text", "text for number", "fraction for integer", "no zone"],
)
def test_json_value_of_another_type_is_a_misfit(inbox, put, readings, before, after, column):
    put(DAY, JSONL.replace(before, after), "jsonl")
    misfits = misfits_of(inbox.read(readings("jsonl"), [DAY]))
    assert {name: list(rows) for name, rows in misfits.items()} == {column: [0]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (JSONL.replace("level", "height"), "lacks level; it has id, height, count, at"),
        (
            JSONL.replace('"a"', '"ä"').encode("latin-1"),
            "is not encoded in UTF-8: byte 0xe4 in line 2",
        ),
    ],
    ids=["renamed", "latin-1"],
)
def test_json_lines_with_undeclared_layout_are_named(inbox, put, readings, content, message):
    put(DAY, content, "jsonl")
    with pytest.raises(DataError, match=f"readings/2013-01-01.jsonl {message}"):
        inbox.read(readings("jsonl"), [DAY])


def test_column_of_nulls_is_not_missing(inbox, put, readings):
    put(DAY, JSONL.replace("1.5", "null").replace('"level": 2', '"level": null'), "jsonl")
    assert frame_of(inbox.read(readings("jsonl"), [DAY]))["level"].isna().all()


def test_undeclared_json_column_is_remarked(inbox, put, readings):
    put(DAY, JSONL.replace('"id": "b"', '"id": "b", "wind": 3'), "jsonl")
    (remark,) = inbox.read(readings("jsonl"), [DAY]).remarks
    assert remark.endswith("has columns that are not declared: wind")


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_gzip_is_decompressed(inbox, put, readings, suffix):
    put(DAY, gzip.compress({"csv": GOOD, "jsonl": JSONL}[suffix].encode()), f"{suffix}.gz")
    assert list(frame_of(inbox.read(readings(suffix, ".gz"), [DAY]))["id"]) == ["a", "b"]


COMPRESSED = gzip.compress(GOOD.encode())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (COMPRESSED[:-12], "is cut off: its gzip has no end"),
        (GOOD.encode(), "is no gzip, or a damaged one"),
        (COMPRESSED[:20] + b"????" + COMPRESSED[24:], "is no gzip, or a damaged one"),
        (b"", "is empty: not even a header"),
        (gzip.compress(b""), "is empty: not even a header"),
        (gzip.compress(b"x" * 200_000), "is larger than 0 MiB. Have it split"),
    ],
    ids=["cut off", "plain", "damaged", "empty", "nothing in it", "a bomb"],
)
def test_damaged_gzip_is_named_with_the_reason(inbox, put, readings, content, message):
    put(DAY, content, "csv.gz")
    small = dataclasses.replace(inbox, max_bytes=100_000)
    with pytest.raises(DataError, match=rf"readings/2013-01-01.csv.gz {message}"):
        small.read(readings("csv", ".gz"), [DAY])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: no Parquet at all"),
        (b"PAR1 and then nothing", "cannot be read: "),
        (parquet_of(id=["a"], level=[1.0]), "lacks count, at; it has id, level"),
    ],
    ids=["empty", "cut off", "columns missing"],
)
def test_parquet_with_undeclared_layout_is_named(inbox, put, readings, content, message):
    put(DAY, content, "parquet")
    with pytest.raises(DataError, match=f"readings/2013-01-01.parquet {message}"):
        inbox.read(readings("parquet"), [DAY])


def test_parquet_column_of_text_is_parsed(inbox, put, readings):
    moment = [pd.Timestamp("2013-01-01", tz="UTC")] * 2
    put(DAY, parquet_of(id=["a", "b"], level=["1.5", "a lot"], count=[1, 2], at=moment), "parquet")
    extract = inbox.read(readings("parquet"), [DAY])
    assert misfits_of(extract) == {"level": {1: "a lot"}}
    assert frame_of(extract)["level"].tolist()[0] == 1.5


def test_hours_are_read_by_their_names(inbox, put, readings):
    hours = hours_of(DAY)[5:7]
    for hour in hours:
        put(f"{hour:%Y-%m-%dT%H}", GOOD)
    frame = frame_of(inbox.read(readings(granularity="hour"), hours))
    assert list(zip(frame["_airworthy_day"], frame["_airworthy_hour"], strict=True)) == [
        ("2013-01-01", "05"), ("2013-01-01", "05"), ("2013-01-01", "06"), ("2013-01-01", "06")
    ]  # fmt: skip


def test_missing_files_are_named(inbox, put, readings):
    put(DAY, "id,level,count,at\n")
    assert inbox.location(readings(), NEXT) == f"{inbox.uri}/readings/2013-01-02.csv"
    assert inbox.missing(readings(), [DAY, NEXT]) == [NEXT]
    with pytest.raises(PartitionMissing, match=r"1 of 2 files have not landed, .*readings/2013-01-02.csv"):
        inbox.read(readings(), [DAY, NEXT])


def test_arrivals_land_a_day_after_their_flights(landing):
    days = [date(2013, 1, 3), date(2013, 1, 4), date(2013, 1, 5)]
    datasets = catalog().datasets
    assert landing.missing(datasets["flights"], days) == [date(2013, 1, 5)]
    assert landing.missing(datasets["arrivals"], days) == [date(2013, 1, 4), date(2013, 1, 5)]


def test_rows_in_a_file_of_all_days_land_with_their_day(inbox, put, readings):
    all_days = FileSource(path="readings/all.csv", split_by="at")
    dataset = readings().model_copy(update={"source": all_days})
    assert inbox.missing(dataset, [DAY, NEXT]) == [DAY, NEXT]
    put("all", GOOD)
    assert inbox.missing(dataset, [DAY, NEXT]) == [NEXT]
    assert frame_of(inbox.read(dataset, [DAY]))["id"].tolist() == ["a", "b"]
    with pytest.raises(PartitionMissing, match="2013-01-02"):
        inbox.read(dataset, [DAY, NEXT])


def test_file_of_all_days_is_read_again_when_it_changed(inbox, put, readings, monkeypatch):
    dataset = readings().model_copy(update={"source": FileSource(path="readings/all.csv", split_by="at")})
    put("all", GOOD)
    assert (inbox.missing(dataset, [DAY, NEXT]), inbox.newest) == ([NEXT], {})
    monkeypatch.setattr(files, "MTIME_RESOLUTION", timedelta(days=-1))
    inbox.missing(dataset, [DAY])
    with monkeypatch.context() as unread:
        unread.setattr(files, "newest_partition", None)
        assert inbox.missing(dataset, [DAY, NEXT]) == [NEXT]
    put("all", GOOD + GOOD.splitlines()[1].replace("2013-01-01", "2013-01-02") + "\n")
    assert inbox.missing(dataset, [DAY, NEXT]) == []
