"""Tables of typed rows with their misfits."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest

from include.data.reading.table import (
    MALFORMED,
    MISFITS,
    MalformedLine,
    malformed_table,
    misfits_by_column,
    read_driver_rows,
    read_frame,
    read_series,
)
from include.declarations import Column

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="count", dtype="integer", nullable=True),
    Column(name="at", dtype="timestamp"),
)
AT = datetime(9999, 12, 31, tzinfo=UTC)


def test_driver_rows_keep_their_values_beside_a_misfit():
    rows = [("a", Decimal(2**53 + 1), AT), (7, None, AT), ("b", Decimal("1.5"), date(2013, 1, 1))]
    table = read_driver_rows(rows, COLUMNS)
    assert table.select(["id", "count", "at"]).to_pydict() == {
        "id": ["a", None, "b"], "count": [2**53 + 1, None, None], "at": [AT, AT, None],
    }  # fmt: skip
    misfits = misfits_by_column(table.column(MISFITS).to_pandas())
    assert {name: values.to_dict() for name, values in misfits.items()} == {
        "id": {1: 7}, "count": {2: Decimal("1.5")}, "at": {2: date(2013, 1, 1)},
    }  # fmt: skip


def test_no_rows_have_the_declared_types():
    empty = read_driver_rows([], COLUMNS).schema
    assert empty == read_driver_rows([("a", 1, AT)], COLUMNS).schema
    assert empty == malformed_table([], COLUMNS).schema


def test_frame_is_read_without_its_missing_columns():
    table = read_frame(pd.DataFrame({"id": ["a", 1], "count": [1.0, float("nan")]}), COLUMNS)
    assert table.select(["id", "count"]).to_pydict() == {"id": ["a", None], "count": [1, None]}
    assert "at" not in table.schema.names


@pytest.mark.parametrize("dtype", ["integer", "number", "timestamp", "string"])
def test_period_and_interval_are_no_values_of_a_column(dtype):
    for values in (pd.period_range("2013-01", "2013-02", freq="M"), pd.interval_range(0, 2)):
        column = read_series(pd.Series(values), dtype)
        assert column.values.null_count == len(column.misfits) == 2


def test_malformed_line_is_a_row_of_nulls():
    line = MalformedLine(3, "a\0b", "it has 2 fields, not 3")
    table = malformed_table([line], COLUMNS)
    assert table.column("id").null_count == 1
    assert MalformedLine.from_json(table.column(MALFORMED)[0].as_py()) == line


@pytest.mark.parametrize(
    ("values", "expected"),
    [(pd.arrays.SparseArray([1.0, 0.0]), [1.0, 0.0]), (pd.Series([1j, 2j]), [None, None])],
    ids=["sparse", "complex"],
)
def test_series_of_a_type_that_arrow_lacks_is_read_by_value(values, expected):
    column = read_series(pd.Series(values), "number")
    assert column.values.to_pylist() == expected
    assert len(column.misfits) == expected.count(None)
