from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.lake.dtypes import coerce, to_table
from include.errors import DataError

UTC = pd.Timestamp("2013-01-01T10:00Z")


@pytest.mark.parametrize(
    ("dtype", "values", "misfits", "typed"),
    [
        ("string", ["a", None], [False, False], "object"),
        ("string", ["a", 1, True, ["b"]], [False, True, True, True], "object"),
        ("number", [1, 2], [False, False], "float64"),
        ("number", ["1.5", "-2e3", "", "abc"], [False, False, True, True], "float64"),
        ("number", [1.5, "1.5", True, None], [False, True, True, False], "float64"),
        ("number", [True, False], [True, True], "float64"),
        ("number", [None, None], [False, False], "float64"),
        ("number", [np.inf, np.nan], [False, False], "float64"),
        ("integer", [1.0, 2.0], [False, False], "int64"),
        ("integer", [1.0, np.nan, 2.5, np.inf], [False, False, True, True], "Int64"),
        ("integer", ["7", "7.0", "7.5", None], [False, False, True, False], "Int64"),
        ("boolean", [True, None], [False, False], "boolean"),
        ("boolean", ["true", "0", "maybe"], [False, False, True], "boolean"),
        ("boolean", [1, 0], [True, True], "boolean"),
        ("timestamp", [UTC, None], [False, False], "datetime64[us, UTC]"),
        ("timestamp", [pd.Timestamp("2013-01-01"), pd.NaT], [True, False], "datetime64[us, UTC]"),
        (
            "timestamp",
            ["2013-01-01T10:00:00Z", "2013-01-01T05:00:00-05:00", "2013-01-01T10:00:00", "soon"],
            [False, False, True, True],
            "datetime64[us, UTC]",
        ),
        ("timestamp", [1, 2], [True, True], "datetime64[us, UTC]"),
        ("timestamp", [UTC, "2013-01-01T10:00:00Z"], [False, True], "datetime64[us, UTC]"),
    ],
)
def test_values_fit_their_declared_type_or_are_masked(dtype, values, misfits, typed):
    series, mask = coerce(pd.Series(values), dtype)
    assert (mask.tolist(), str(series.dtype)) == (misfits, typed)
    assert series[mask].isna().all()


def test_text_is_parsed_to_a_moment_in_utc():
    series, _ = coerce(pd.Series(["2013-01-01T10:00:00Z", "2013-01-01T05:00:00-05:00"]), "timestamp")
    assert set(series) == {UTC}


def test_column_that_fits_is_not_copied():
    values = pd.Series(["a", "b"] * 10, dtype=object)
    assert coerce(values, "string")[0] is values


@pytest.mark.parametrize(
    "values",
    [pd.Series([UTC + pd.Timedelta(1, "ns")]), pd.Series([2**63], dtype="uint64")],
    ids=["ns", "uint"],
)
def test_value_that_would_change_is_refused(values):
    with pytest.raises(DataError, match="Column seen cannot be stored"):
        to_table(pd.DataFrame({"seen": values}), None)


def test_moment_in_microseconds_is_stored():
    table = to_table(pd.DataFrame({"seen": pd.Series([UTC + pd.Timedelta(1, "us")])}), None)
    assert str(table.schema.field("seen").type) == "timestamp[us, tz=UTC]"
