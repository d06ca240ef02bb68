from __future__ import annotations

from datetime import date
from decimal import Decimal

import pandas as pd
import pytest

from include.scaffold.columns import bounds_with_slack, infer_column, parse_times

TEXTS = {
    "integer": ["1", "-20", None],
    "number": ["1", "2.5", "1e3"],
    "boolean": ["true", "False", None],
    "timestamp": ["2024-01-31 05:00", "2024-02-01 06:00", None],
    "string": ["007", "12", "13"],
}
VALUES = {
    "integer": [1, 2, None],
    "number": [Decimal("1.5"), 2, None],
    "boolean": [True, False, None],
    "timestamp": [date(2024, 1, 31), date(2024, 2, 1), None],
    "string": ["a", "b", None],
}


@pytest.mark.parametrize("dtype", TEXTS)
def test_type_of_texts_is_inferred(dtype):
    assert infer_column("a", pd.Series(TEXTS[dtype], dtype=object)).dtype == dtype


@pytest.mark.parametrize("dtype", VALUES)
def test_type_of_values_is_inferred(dtype):
    assert infer_column("a", pd.Series(VALUES[dtype], dtype=object)).dtype == dtype


def test_values_that_nothing_can_hold_give_no_column():
    assert infer_column("a", pd.Series([[1], [2]])) is None


def test_integer_of_63_bits_stays_exact():
    column = infer_column("a", pd.Series(["9007199254740993", "1"], dtype=object))
    assert column.values.tolist() == [9007199254740993, 1]


def test_few_texts_are_the_allowed_ones():
    column = infer_column("a", pd.Series(["x", "y"] * 10, dtype=object))
    assert column.allowed == ("x", "y")
    assert infer_column("a", pd.Series(["x", "y", "z"], dtype=object)).allowed == ()


@pytest.mark.parametrize(
    ("values", "whole", "bounds"),
    [
        ([0, 1, 1], True, (0, 1)),
        ([5, 10, 25], True, (0, 30)),
        ([-10, 0, 30], True, (-20, 40)),
        ([0.1, 0.9, 0.5], False, (0.0, 1.1)),
        ([-0.9, -0.1, -0.5], False, (-1.1, 0.0)),
        ([3.0, 3.0], False, (0.0, 6.0)),
    ],
)
def test_bounds_have_slack_and_keep_a_sign(values, whole, bounds):
    assert bounds_with_slack(pd.Series(values), whole=whole) == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("31/12/2024", "2024-12-31"),
        ("12/31/2024 05:30", "2024-12-31T05:30"),
        ("31.12.2024 05:30", "2024-12-31T05:30"),
        ("2024-12-31T05:30:00+02:00", "2024-12-31T03:30"),
        ("20241231", "2024-12-31"),
    ],
)
def test_times_are_read_in_usual_formats(text, moment):
    parsed = parse_times(pd.Series([text], dtype=object))
    assert parsed[0] == pd.Timestamp(moment, tz="UTC")


def test_texts_that_are_no_times_are_none():
    assert parse_times(pd.Series(["2024-01-31", "soon"], dtype=object)) is None
