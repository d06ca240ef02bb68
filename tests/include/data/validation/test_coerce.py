"""The declared columns of a batch in their types."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pyarrow as pa

from include.data.lake.dtypes import to_frame
from include.data.reading.table import INTERNAL_COLUMNS, read_frame
from include.data.validation.batch import Batch
from include.data.validation.coerce import coerce_batch
from include.declarations import Column

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="speed", dtype="number"),
    Column(name="missing", dtype="number"),
)
FRAME = pd.DataFrame({"id": ["a", ""], "speed": ["1.5", "fast"], "extra": 1, "_airworthy_day": "2013-01-01"})
READ = to_frame(read_frame(FRAME, COLUMNS)).assign(_airworthy_day=FRAME["_airworthy_day"])


def batch(frame=FRAME):
    return Batch.of(frame, [date(2013, 1, 1)])


def test_typed_batch_has_partition_and_declared_columns():
    internal, typed, _ = coerce_batch(batch(), COLUMNS)
    assert {name: str(dtype) for name, dtype in typed.frame.dtypes.items()} == {
        "_airworthy_day": "object", "id": "object", "speed": "float64",
    }  # fmt: skip
    assert list(internal.frame) == ["_airworthy_day", "id", "speed", *INTERNAL_COLUMNS]
    assert typed.positions.tolist() == [0, 0]


def test_misfit_and_empty_text_are_null():
    _, typed, misfits = coerce_batch(batch(), COLUMNS)
    assert typed.frame.isna().to_dict("list") == {
        "_airworthy_day": [False, False], "id": [False, True], "speed": [False, True],
    }  # fmt: skip
    assert {name: values.to_dict() for name, values in misfits.items()} == {"id": {}, "speed": {1: "fast"}}


def test_rows_of_a_source_keep_their_misfits():
    _, typed, misfits = coerce_batch(batch(READ), COLUMNS)
    assert misfits["speed"].to_dict() == {1: "fast"}
    pd.testing.assert_frame_equal(typed.frame, coerce_batch(batch(), COLUMNS)[1].frame)


def test_staged_rows_without_any_have_partition_names_as_text():
    table = read_frame(FRAME.iloc[:0], COLUMNS).append_column("_airworthy_day", pa.nulls(0))
    for coerced in coerce_batch(batch(table), COLUMNS)[:2]:
        assert coerced.table.schema.field("_airworthy_day").type == pa.string()
