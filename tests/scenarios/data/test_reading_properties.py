"""Properties of reading: the way of a table, its order, its borders and its bad rows change no other row."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from include.data.reading.table import MALFORMED, MISFITS, misfits_by_column, read_driver_rows
from include.data.sources import delimited, json_lines
from include.data.sources.columnar import parse_parquet
from include.data.sources.delimited import parse_delimited
from include.data.sources.formats import Layout
from include.data.sources.json_lines import parse_json_lines
from include.declarations import Column, FileSource

PROFILE = settings(max_examples=40, derandomize=True, deadline=None)
COLUMNS = (
    Column(name="text", dtype="string"),
    Column(name="whole", dtype="integer"),
    Column(name="number", dtype="number"),
    Column(name="truth", dtype="boolean"),
    Column(name="moment", dtype="timestamp"),
)
NAMES = [column.name for column in COLUMNS]
PARSERS = {"csv": parse_delimited, "jsonl": parse_json_lines, "parquet": parse_parquet}
ODD_TEXTS = [
    "", " ", "NA", "nan", "inf", "-1", "+5", " 7 ", "17.0", "1e3", "0x1F", "9007199254740993", "1e400", "1.5",
    "9223372036854775807", "9223372036854775808", "true", "TRUE", "0", "a\0b", 'a "quote"', "a,b", "ä€😀",
    "2013-01-01T05:00:00Z", "2013-01-01 05:00:00.123456789+00", "2013-01-01", "9999-12-31T23:59:59Z",
    "0000-01-01T00:00:00Z", "20130101T0500-05", "infinity",
]  # fmt: skip
TEXTS = st.sampled_from(ODD_TEXTS)
EAST = timezone(timedelta(hours=5))
TYPED_ROW = st.tuples(
    TEXTS,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.none() | st.booleans(),
    st.none() | st.datetimes(timezones=st.sampled_from([UTC, EAST])),
)
TEXT_ROW = st.tuples(*[TEXTS] * len(COLUMNS))


@pytest.fixture(autouse=True, scope="module")
def small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "PART_BYTES", 60)
        patch.setattr(json_lines, "PART_BYTES", 60)
        yield


def spelled(value):
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def to_csv(rows):
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(NAMES)
    for row in rows:
        writer.writerow(map(spelled, row))
    return sink.getvalue().encode()


def to_json(rows):
    lines = []
    for row in rows:
        values = [spelled(value) if isinstance(value, datetime) else value for value in row]
        lines.append(json.dumps(dict(zip(NAMES, values, strict=True))))
    return "\n".join(lines).encode()


def to_array(values):
    is_moment = any(isinstance(value, datetime) for value in values)
    return pa.array(values, pa.timestamp("us", "UTC") if is_moment else None)


def to_parquet(rows):
    sink = pa.BufferOutputStream()
    table = pa.table(list(map(to_array, zip(*rows, strict=True))), NAMES)
    parquet.write_table(table, sink, compression="zstd", row_group_size=3)
    return sink.getvalue().to_pybytes()


def parse(content, kind, size=None, **dialect):
    layout = Layout(COLUMNS, FileSource(path="{partition}", format=kind, **dialect))
    size = size or len(content) or 1
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    return pa.concat_tables([block.table for block in PARSERS[kind](chunks, layout)])


def rows_of(table):
    """Return each row with the names of the columns whose value was refused."""
    refused = misfits_by_column(table[MISFITS].to_pandas())
    rows = []
    for number, row in enumerate(table.select(NAMES).to_pylist()):
        names = [name for name in NAMES if name in refused and number in refused[name].index]
        rows.append((*row.values(), *names))
    return rows


def as_decimal(value):
    return Decimal(value) if isinstance(value, float) else value


@PROFILE
@given(st.lists(TYPED_ROW, min_size=1, max_size=6) | st.lists(TEXT_ROW, min_size=1, max_size=6))
def test_same_table_by_each_way_gives_the_same_rows_and_refusals(rows):
    expected = rows_of(read_driver_rows(rows, COLUMNS))
    assert rows_of(read_driver_rows([list(map(as_decimal, row)) for row in rows], COLUMNS)) == expected
    assert rows_of(parse(to_csv(rows), "csv")) == expected
    assert rows_of(parse(to_json(rows), "jsonl")) == expected
    assert rows_of(parse(to_parquet(rows), "parquet")) == expected


@PROFILE
@given(st.lists(TYPED_ROW, min_size=3, max_size=12), TEXT_ROW, st.integers(5, 200), st.randoms())
def test_bad_row_order_and_borders_change_no_other_row(rows, bad_row, size, random):
    expected = rows_of(read_driver_rows([*rows, bad_row], COLUMNS))
    shuffled = [*rows, bad_row]
    random.shuffle(shuffled)
    for kind, write in {"csv": to_csv, "jsonl": to_json}.items():
        assert rows_of(parse(write([*rows, bad_row]), kind, size)) == expected
        assert sorted(map(repr, rows_of(parse(write(shuffled), kind, size)))) == sorted(map(repr, expected))


LINES = st.lists(st.text('a",\\ \t\r', max_size=9), max_size=12)
DIALECTS = ({}, {"escape": "\\"}, {"quote": None}, {"quote": "a"}, {"delimiter": "\t"})


def lines_of(table):
    rows = table.select([*NAMES, MISFITS]).to_pylist()
    # The number of a line differs where it is parsed without the others.
    malformed = [line and json.loads(line) | {"line": 0} for line in table[MALFORMED].to_pylist()]
    return sorted(repr(pair) for pair in zip(rows, malformed, strict=True))


@PROFILE
@given(LINES, st.sampled_from(DIALECTS), st.integers(5, 60))
def test_every_line_of_a_csv_file_is_a_row_or_malformed(lines, dialect, size):
    header = dialect.get("delimiter", ",").join(NAMES)
    if dialect.get("quote") == "a":
        dialect = dialect | {"quote": "'"}
        lines = [line.replace('"', "'") for line in lines]
    content = "\n".join([header, *lines])
    table = parse(content.encode(), "csv", size, **dialect)
    single = [line for line in content.encode().splitlines()[1:] if line]
    assert table.num_rows == len(single)
    parts = [parse(b"\n".join([header.encode(), line]), "csv", **dialect) for line in single]
    assert lines_of(table) == sorted(chain.from_iterable(map(lines_of, parts)))
