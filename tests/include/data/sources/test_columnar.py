"""Parquet files: no value changes."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pytest
from pyarrow import parquet

from include.data.lake.dtypes import to_frame
from include.data.reading.raw import display
from include.data.reading.table import MISFITS, misfits_by_column
from include.data.sources import columnar
from include.data.sources.columnar import parse_parquet
from include.data.sources.formats import Layout, Unreadable
from include.declarations import Column, FileSource

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="level", dtype="number"),
    Column(name="count", dtype="integer"),
    Column(name="at", dtype="timestamp"),
)
ZONED = pa.array([datetime(2013, 1, 1)], pa.timestamp("us", "UTC"))
GOOD = {"id": pa.array(["a"]), "level": pa.array([0.5]), "count": pa.array([1]), "at": ZONED}


def parse(arrays, **declared):
    sink = pa.BufferOutputStream()
    parquet.write_table(pa.table(arrays), sink)
    layout = Layout(COLUMNS, FileSource(path="{partition}", format="parquet", **declared))
    tables = [block.table for block in parse_parquet([sink.getvalue().to_pybytes()], layout)]
    frame = to_frame(pa.concat_tables(tables))
    columns = misfits_by_column(frame[MISFITS])
    return frame, {name: display(values.iloc[0]) for name, values in columns.items()}


@pytest.mark.parametrize(
    ("name", "array", "misfit"),
    [
        ("id", pa.array([7030]), "7030"),
        ("id", pa.array([1.5]), "1.5"),
        ("id", pa.array([True]), "true"),
        ("id", pa.array([date(2013, 1, 1)]), "2013-01-01"),
        ("id", pa.array([{"a": 1}]), '{"a": 1}'),
        ("level", pa.array([True]), "true"),
        ("count", pa.array([True]), "true"),
        ("count", pa.array([2**63 + 1], pa.uint64()), str(2**63 + 1)),
        ("at", pa.array([datetime(2013, 1, 1)]), "2013-01-01T00:00:00"),
        ("at", pa.array([1_356_998_400]), "1356998400"),
    ],
)
def test_value_of_another_kind_is_a_misfit(name, array, misfit):
    frame, misfits = parse(GOOD | {name: array})
    assert misfits == {name: misfit}
    assert frame[name].isna().all()


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("id", pa.array(["a"]).dictionary_encode()),
        ("level", pa.array(["0.5"])),
        ("count", pa.array([1.0])),
        ("at", ZONED.cast(pa.timestamp("ns", "America/New_York"))),
    ],
)
def test_same_value_in_another_type_is_the_same(name, array):
    frame, misfits = parse(GOOD | {name: array})
    assert (misfits, frame.equals(parse(GOOD)[0])) == ({}, True)


def test_large_integers_beside_a_null_stay_exact(monkeypatch):
    monkeypatch.setattr(columnar, "BATCH_ROWS", 2)
    counts = [2**63 - 1, None, 2**53 + 1]
    frame, _ = parse(
        {name: pa.concat_arrays([array] * 3) for name, array in GOOD.items()} | {"count": counts}
    )
    assert frame["count"].astype(object).where(frame["count"].notna(), None).tolist() == counts


def test_names_in_the_file_are_renamed():
    renamed = {"a.b": GOOD["count"]} | {name: array for name, array in GOOD.items() if name != "count"}
    assert parse(renamed, rename={"a.b": "count"})[0]["count"].tolist() == [1]


@pytest.mark.parametrize(("content", "message"), [(b"", "no Parquet at all"), (b"PAR1", "cannot be read")])
def test_file_that_is_no_parquet_is_unreadable(content, message):
    with pytest.raises(Unreadable, match=message):
        list(parse_parquet([content], Layout(COLUMNS, FileSource(path="{partition}", format="parquet"))))
