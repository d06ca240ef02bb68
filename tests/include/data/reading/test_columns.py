"""Columns of raw values: the vectorised reading follows the rule for single values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.data.lake.dtypes import TYPES
from include.data.reading.columns import read_array, read_text, read_values
from include.data.reading.raw import Opaque
from include.data.reading.spelling import Misfit, Spelling, parse_text
from include.data.reading.values import convert

PROFILE = settings(max_examples=60, derandomize=True, deadline=None)
EAST = timezone(timedelta(hours=5))
SPELLINGS = (Spelling(), Spelling(time_zone="America/New_York"), Spelling(decimal=",", thousands="."))
TEXTS = st.one_of(
    st.sampled_from(
        ["", "0x1F", "nan", "-inf", "1e400", " 5", "+5", "1.", "TRUE", "f", "1", "0", "a\0", "1,5"]
    ),
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(repr),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.datetimes().map(datetime.isoformat),
    st.from_regex(
        r"(0000|0001|2013|9999)-(0[1-9]|1[0-3])-[0-3]\d[T ][012]\d(:[0-6]\d(:[0-6]\d(\.\d{1,8})?)?)?"
        r"(Z|z|[+-]\d\d(:?\d\d)?)?",
        fullmatch=True,
    ),
)
VALUES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.decimals(),
    st.datetimes(),
    st.datetimes(timezones=st.just(EAST)),
    st.dates(),
    st.just({"a": 1}),
)


def expected(values, dtype, spelling, rule):
    typed = []
    for value in values:
        try:
            typed.append(rule(value, dtype, spelling))
        except Misfit:
            typed.append(Misfit)
    return typed


def actual(column):
    assert column.values.type in TYPES.values()
    assert all(column.values[row].as_py() is None for row in column.misfits)
    return [Misfit if row in column.misfits else value for row, value in enumerate(column.values.to_pylist())]


@PROFILE
@given(st.lists(TEXTS, max_size=6), st.sampled_from(list(TYPES)), st.sampled_from(SPELLINGS))
def test_text_in_bulk_follows_the_rule(texts, dtype, spelling):
    column = read_text(pa.array(texts, pa.string()), dtype, spelling)
    assert actual(column) == expected(texts, dtype, spelling, parse_text)


@PROFILE
@given(st.lists(VALUES, max_size=5), st.sampled_from(list(TYPES)), st.sampled_from(SPELLINGS[:2]))
def test_values_in_bulk_follow_the_rule(values, dtype, spelling):
    assert actual(read_values(values, dtype, spelling)) == expected(values, dtype, spelling, convert)


@PROFILE
@given(st.data(), st.sampled_from(list(TYPES)), st.sampled_from(SPELLINGS[:2]))
def test_values_of_a_single_kind_follow_the_rule(data, dtype, spelling):
    kinds = (st.integers(), st.floats(), st.booleans(), st.datetimes(), st.datetimes(timezones=st.just(EAST)))
    kind = data.draw(st.sampled_from(kinds))
    values = data.draw(st.lists(kind | st.none(), max_size=4))
    assert actual(read_values(values, dtype, spelling)) == expected(values, dtype, spelling, convert)


MOMENT = datetime(2013, 1, 1, 5, tzinfo=UTC)
LAST_OF_1969 = datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)


@pytest.mark.parametrize(
    ("array", "dtype", "values"),
    [
        (pa.array([2**63 - 1, 2**63], pa.uint64()), "integer", [2**63 - 1, Misfit]),
        (pa.array([1.0, 1.5, 2.0**63, np.nan]), "integer", [1, Misfit, Misfit, None]),
        (pa.array([True]), "number", [Misfit]),
        (pa.array([Decimal("0.1"), Decimal("0.5")]), "number", [0.1, 0.5]),
        (pa.array([Decimal("1.5"), Decimal("2.0")]), "integer", [Misfit, 2]),
        (pa.array([7030]), "string", [Misfit]),
        (pa.array(["a", "b"]).dictionary_encode(), "string", ["a", "b"]),
        (pa.array(["a", ""], pa.large_string()), "string", ["a", None]),
        (pa.array([b"a"]), "string", [Misfit]),
        (pa.nulls(1), "number", [None]),
        (pa.array([0, 2], pa.int8()), "boolean", [False, Misfit]),
        (pa.array([1_356_998_400]), "timestamp", [Misfit]),
        (pa.array([0], pa.timestamp("ns")), "timestamp", [Misfit]),
        (pa.array([0], pa.date32()), "timestamp", [Misfit]),
        (pa.array([2**62], pa.timestamp("s", "UTC")), "timestamp", [Misfit]),
        (pa.array([-1], pa.timestamp("ns", "UTC")), "timestamp", [LAST_OF_1969]),
        (pa.array([MOMENT], pa.timestamp("ms", "America/New_York")), "timestamp", [MOMENT]),
        (pa.chunked_array([["1"], ["x"]]), "integer", [1, Misfit]),
        (pa.Array.from_pandas(pd.period_range("2013-01", "2013-01", freq="M")), "integer", [Misfit]),
        (pa.Array.from_pandas(pd.period_range("2013-01", "2013-01", freq="M")), "number", [Misfit]),
        (pa.array([b"0123456789abcdef"], pa.uuid()), "string", [Misfit]),
        (pa.array(['{"a": 1}'], pa.json_()), "string", ['{"a": 1}']),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())), "boolean", [True, None]),
    ],
)  # fmt: skip
def test_arrow_types_are_converted_without_loss(array, dtype, values):
    assert actual(read_array(array, dtype)) == values


def test_moment_that_python_has_not_is_a_misfit_with_text():
    column = read_array(pa.array([10**18], pa.timestamp("us", "UTC")), "timestamp")
    assert column.misfits == {0: Opaque(f"{10**18} us since 1970")}


def test_frame_column_with_missing_values_keeps_large_integers():
    values = pd.Series([2**53 + 1, None], dtype="Int64")
    assert read_array(pa.Array.from_pandas(values), "integer").values.to_pylist() == [2**53 + 1, None]
