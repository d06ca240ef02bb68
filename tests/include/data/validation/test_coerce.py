"""Coercion of the declared columns of a batch."""

from __future__ import annotations

from datetime import date

import pandas as pd

from include.data.validation.batch import Batch
from include.data.validation.coerce import coerce_batch
from include.declarations import Column

COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="speed", dtype="number"),
    Column(name="missing", dtype="number"),
)
FRAME = pd.DataFrame({"id": ["a", ""], "speed": ["1.5", "fast"], "extra": 1, "day": "2013-01-01"})


def test_coerced_batch_has_partition_and_declared_columns():
    typed, misfits = coerce_batch(Batch.of(FRAME, [date(2013, 1, 1)]), COLUMNS)
    assert {name: str(dtype) for name, dtype in typed.frame.dtypes.items()} == {
        "day": "object", "id": "object", "speed": "float64",
    }  # fmt: skip
    assert typed.positions.tolist() == [0, 0]
    assert {name: mask.tolist() for name, mask in misfits.items()} == {
        "id": [False, False], "speed": [False, True],
    }  # fmt: skip


def test_coerced_misfit_and_empty_text_are_null():
    typed, _ = coerce_batch(Batch.of(FRAME, [date(2013, 1, 1)]), COLUMNS)
    assert typed.frame.isna().to_dict("list") == {
        "day": [False, False], "id": [False, True], "speed": [False, True],
    }  # fmt: skip
