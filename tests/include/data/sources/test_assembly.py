"""Extracts of one file of all partitions; `test_files` has those of one file per partition."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from include.data.lake.partition_columns import DAY
from include.data.sources import base
from include.data.sources.assembly import assemble, extract_rows, newest_partition
from include.data.sources.formats import Layout
from include.declarations import Column, Dataset, FileSource
from include.errors import PartitionMissing
from tests.include.data.sources.extracts import frame_of, malformed_of, misfits_of

DAYS = [date(2013, 1, day) for day in (1, 2, 3, 4)]
CSV = b"""id;at;count
a;2013-01-01T23:30:00Z;1
b;2013-01-02T00:00:00Z;2
c;later;3
d;2013-01-03T12:00:00Z
e;2013-01-03T12:00:00Z;5
f;2013-01-01T00:00:00Z;x
"""


def orders(**fields):
    values = {
        "name": "orders", "owner": "test", "description": "Orders.", "key": ("id",),
        "first_partition": DAYS[0],
        "source": FileSource(path="orders.csv", delimiter=";", split_by="at"),
        "columns": (
            Column(name="id", dtype="string"),
            Column(name="at", dtype="timestamp"),
            Column(name="count", dtype="integer"),
        ),
    }  # fmt: skip
    return Dataset(**values | fields)


def read(dataset, partitions, content=CSV):
    return extract_rows(dataset, [content], partitions, "orders.csv")


def test_partition_has_its_own_rows_alone():
    extract = read(orders(), DAYS[:2])
    assert frame_of(extract)[["id", DAY]].to_numpy().tolist() == [
        ["a", "2013-01-01"], ["f", "2013-01-01"], ["b", "2013-01-02"]
    ]  # fmt: skip
    assert misfits_of(extract) == {"count": {1: "x"}}


def test_every_line_belongs_to_a_partition():
    extract = read(orders(), DAYS[:3])
    assert extract.table.num_rows == 6
    newest = read(orders(), [DAYS[2]])
    assert frame_of(newest)["id"].dropna().tolist() == ["e", "c"]
    assert [line for line, _, _ in malformed_of(newest)] == [5]


@pytest.mark.parametrize("size", [1, 7, 40])
@pytest.mark.parametrize("days", [DAYS[:1], DAYS[1:3], DAYS[:3]])
def test_rows_do_not_depend_on_the_borders_of_chunks(size, days):
    chunks = [CSV[start : start + size] for start in range(0, len(CSV), size)]
    extract = extract_rows(orders(), chunks, days, "orders.csv")
    expected = read(orders(), days)
    assert sorted(frame_of(extract)["id"].dropna()) == sorted(frame_of(expected)["id"].dropna())
    assert malformed_of(extract) == malformed_of(expected)
    assert newest_partition(orders(), chunks, "orders.csv") == DAYS[2]


def test_large_file_is_parsed_once_and_while_it_is_read(monkeypatch):
    monkeypatch.setattr(base, "READ_AHEAD_BYTES", 0)
    n_read = 0

    def chunks():
        nonlocal n_read
        for line in CSV.splitlines(keepends=True):
            n_read += 1
            yield line

    tables = iter(extract_rows(orders(), chunks(), DAYS[:1], "orders.csv").tables)
    assert n_read < 4
    assert sum(table.num_rows for table in tables) == 2
    assert n_read == CSV.count(b"\n")


def test_partition_has_landed_with_a_row_of_a_later_one():
    content = CSV.replace(b"2013-01-02", b"2013-01-03")
    assert newest_partition(orders(), [content], "orders.csv") == DAYS[2]
    assert read(orders(), [DAYS[1]], content).table.num_rows == 0
    with pytest.raises(PartitionMissing, match="has no row of 2013-01-04, nor of a later partition"):
        read(orders(), DAYS)
    assert newest_partition(orders(), [b"id;at;count\n"], "orders.csv") is None


def test_hours_and_local_days_are_split_by_their_moments():
    hour = datetime(2013, 1, 1, 23, tzinfo=UTC)
    assert frame_of(read(orders(granularity="hour"), [hour]))["id"].tolist() == ["a"]
    tokyo = read(orders(time_zone="Asia/Tokyo"), [DAYS[1]])
    assert frame_of(tokyo)["id"].tolist() == ["a", "b"]


def test_text_of_a_day_splits_by_days_and_months():
    columns = (Column(name="id", dtype="string"), Column(name="at", dtype="string"))
    content = b"id;at\na;2013-01-31\nb;2013-02-01\nc;2013-02-30\n"
    monthly = orders(columns=columns, granularity="month", first_partition=DAYS[0])
    assert frame_of(read(monthly, [DAYS[0]], content))["id"].tolist() == ["a"]
    assert frame_of(read(monthly, [date(2013, 2, 1)], content))["id"].tolist() == ["b", "c"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"source": FileSource(path="a", split_by="on")}, "source.split_by: unknown on"),
        ({"source": FileSource(path="a", split_by="count")}, "count must be a timestamp"),
        ({"source": FileSource(path="a", split_by="id"), "granularity": "hour"}, "id must be a timestamp"),
        ({"source": FileSource(path="{partition}", rename={"A": "b"})}, "source.rename: unknown b"),
    ],
)
def test_impossible_split_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        orders(**fields)


def test_undeclared_column_of_many_files_is_remarked_once():
    dataset = orders(source=FileSource(path="orders/{partition}.csv", delimiter=";"))
    content = b"id;at;count;note\na;2013-01-01T23:30:00Z;1;x\n"
    layout = Layout(dataset.columns, dataset.source)
    files = [(day, [content]) for day in DAYS]
    extract = assemble(dataset, files, layout, lambda dataset, day: f"{dataset.name}/{day}")
    assert len(frame_of(extract)) == 4
    assert extract.remarks == (
        "4 files, the first orders/2013-01-01, have columns that are not declared: note",
    )
