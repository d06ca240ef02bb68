"""Checks of single rows."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.reading import misfit_causes as causes
from include.data.reading.table import MALFORMED, MalformedLine
from include.data.validation.batch import Batch
from include.data.validation.checks.rows import (
    MalformedLineCheck,
    MissingColumnCheck,
    PartitionWindowCheck,
    RangeCheck,
    TypeCheck,
    type_checks,
    value_checks,
    window_checks,
)
from include.data.validation.expectations import run_expectations
from include.data.validation.results import merge_results
from include.data.validation.sentences import sentence
from include.data.validation.suites import row_expectations
from include.declarations import Column
from include.partitions import Calendar

DAY = date(2013, 1, 1)
SPEED = Column(name="speed", dtype="number", minimum=0)
SEEN = Column(name="seen", dtype="timestamp", within=timedelta(hours=6))


def batch(**columns):
    return Batch.of(pd.DataFrame(columns | {"_airworthy_day": f"{DAY}"}), [DAY])


def test_malformed_lines_are_the_failed_rows():
    line = MalformedLine(7, "a;b;c\0", "it has 3 fields, not 4").to_json()
    result = MalformedLineCheck().run(batch(**{MALFORMED: [None, line]}))
    assert result.row_numbers.tolist() == [1]
    assert result.examples == (r"line 7: it has 3 fields, not 4: a;b;c\u0000",)
    assert result.blocking is False


def test_malformed_check_of_rows_without_lines_does_not_apply():
    assert MalformedLineCheck().run(batch(id=["a"])) is None
    assert MalformedLineCheck().run(batch(**{MALFORMED: [None]})) is None


def test_type_check_names_the_values_as_they_came():
    result = TypeCheck(SPEED, pd.Series({1: "fast\0"})).run(batch(speed=[1.0, None]))
    assert (result.examples, result.message) == ((r"fast\u0000",), "speed is no number")
    assert result.row_numbers.tolist() == [1]
    assert result.parameters == {"type_": "number"}


def test_type_check_counts_the_causes_over_all_batches():
    count = Column(name="count", dtype="integer")
    first = TypeCheck(count, pd.Series({0: "0.24", 1: "NA", 2: 1.5})).run(batch(count=[None] * 3))
    second = TypeCheck(count, pd.Series({3: True, 4: 0.5})).run(batch(count=[None] * 2))
    assert first.row_causes == (causes.FRACTION, causes.NULL_MARKER, causes.FRACTION)
    (merged,) = merge_results([[first], [second]])
    assert merged.causes == {causes.FRACTION: 3, causes.NULL_MARKER: 1, causes.TRUTH: 1}
    assert sentence(merged).startswith(
        "expect_column_values_to_be_of_type(count): count is no integer: in 3 rows it is a number with a "
        "fraction; declare the column as number; in 1 rows it is a text that often stands for null; declare"
    )
    assert sentence(second).endswith("(2 times, for example true in row 4, 0.5 in row 5)")


def test_values_of_the_type_have_no_cause():
    result = TypeCheck(SPEED, pd.Series(dtype=object)).run(batch(speed=[1.0]))
    assert (result.success, result.causes, sentence(result).endswith(": ")) == (True, {}, True)


def test_missing_column_blocks():
    assert MissingColumnCheck("speed").run(batch(id=["a"])).blocking
    assert MissingColumnCheck("id").run(batch(id=["a"])).success


def test_column_that_was_not_read_is_checked_for_existence():
    checks = type_checks([SPEED, SEEN], {"speed": pd.Series(dtype=object)})
    assert [type(check) for check in checks] == [TypeCheck, MissingColumnCheck]


def test_moments_far_from_the_partition_fail():
    moments = ["2013-01-01T10:00Z", "2012-01-01T10:00Z", "2013-01-02T05:59Z", "2013-01-02T06:00Z", None]
    values = pd.to_datetime(moments, utc=True).as_unit("us")
    result = PartitionWindowCheck(SEEN).run(batch(seen=values))
    assert result.row_numbers.tolist() == [1, 3]
    assert result.message == "seen is more than 6 hours away from its partition"
    assert result.parameters["max_value"] == "2013-01-02 06:00:00+00:00"


def test_window_check_of_a_missing_column_does_not_apply():
    assert [check.column for check in window_checks([SPEED, SEEN])] == [SEEN]
    assert PartitionWindowCheck(SEEN).run(batch(id=["a"])) is None


@pytest.mark.parametrize(
    ("calendar", "last"),
    [(Calendar("week"), "2013-07-08"), (Calendar("day", "America/New_York"), "2013-07-02T04:00")],
    ids=["week", "zone"],
)
def test_window_is_that_of_the_calendar(calendar, last):
    moments = pd.to_datetime([last, last], utc=True) - pd.to_timedelta([1, 0], "us")
    frame = pd.DataFrame({"seen": moments.as_unit("us"), "_airworthy_day": "2013-07-01"})
    check = PartitionWindowCheck(Column(name="seen", dtype="timestamp", within=timedelta(0)))
    assert check.run(Batch.of(frame, [date(2013, 7, 1)], calendar)).failed_rows == 1


def test_nullable_key_column_must_not_be_null():
    column = Column(name="id", dtype="string", nullable=True, severity="warning")
    (check,) = value_checks([column], key=("id",))
    result = check.run(batch(id=["a", None]))
    assert (result.message, result.severity, result.row_numbers.tolist()) == ("id is null", "critical", [1])


def test_number_without_bounds_must_be_finite():
    column = Column(name="gust", dtype="number", nullable=True, severity="warning")
    (check,) = value_checks([column], key=())
    result = check.run(batch(gust=[1.0, None, float("inf"), -float("inf")]))
    assert (result.message, result.severity, result.examples) == (
        "gust is not finite", "critical", (float("inf"), -float("inf"))
    )  # fmt: skip


def test_large_integers_are_compared_exactly_with_bounds():
    column = Column(name="n", dtype="integer", minimum=-5, maximum=2**53)
    (_, check) = value_checks([column], key=())
    values = pd.array([2**53, 2**53 + 1, -5, -6, 2**63 - 1], dtype="Int64")
    assert check.run(batch(n=values)).row_numbers.tolist() == [1, 3, 4]


VALUES = pd.DataFrame(
    {
        "id": ["a", None, "c", "d"],
        "kind": ["x", "y", None, "x"],
        "speed": [1.0, -1.0, None, 200.0],
        "n": pd.array([1, None, 11, 3], dtype="Int64"),
    }
)
RULES = (
    Column(name="id", dtype="string"),
    Column(name="kind", dtype="string", nullable=True, allowed=("x",), severity="warning"),
    Column(name="speed", dtype="number", nullable=True, minimum=0, maximum=150),
    Column(name="n", dtype="integer", maximum=9),
)


def test_rules_agree_with_great_expectations():
    rows = Batch.of(VALUES.assign(_airworthy_day=f"{DAY}"), [DAY])
    local = [check.run(rows) for check in value_checks(RULES, ("id",))]
    expected = run_expectations(VALUES, row_expectations(RULES, ("id",)))
    assert [summary(result) for result in local] == [summary(result) for result in expected]
    assert [result.parameters for result in local] == [result.parameters for result in expected]


def summary(result):
    return result.name, result.severity, result.success, result.failed_rows, result.message


@pytest.mark.parametrize(
    ("dtype", "bounds", "values", "failed"),
    [
        ("integer", {"maximum": 2**53 + 1}, [2**53, 2**53 + 1, 2**53 + 2], [2]),
        ("integer", {"minimum": -(2**63) + 1}, [-(2**63), -(2**63) + 1], [0]),
        ("integer", {"maximum": 2**63 - 2}, [2**63 - 1, 2**63 - 2], [0]),
        ("number", {"maximum": 2**53 + 1}, [2.0**53, 2.0**53 + 2], [1]),
        ("number", {"minimum": 2**53 + 1}, [2.0**53, 2.0**53 + 2], [0]),
        ("number", {"maximum": 10**20}, [1e19, 1e20, 1.1e20], [2]),
        ("number", {"maximum": 0.1}, [0.1, 0.10000000000000002], [1]),
    ],
)
def test_bounds_are_compared_exactly(dtype, bounds, values, failed):
    column = Column(name="a", dtype=dtype, **bounds)
    kind = "Int64" if dtype == "integer" else "float64"
    (check,) = [check for check in value_checks([column], ()) if isinstance(check, RangeCheck)]
    result = check.run(batch(a=pd.array(values, dtype=kind)))
    assert result.row_numbers.tolist() == failed
    (bound,) = bounds.values()
    assert str(bound) in result.message


@pytest.mark.parametrize(
    ("bounds", "limits"),
    [
        ({"minimum": 0}, "at least 0"),
        ({"maximum": 2**62 + 1}, "at most 4611686018427387905"),
        ({"minimum": 0, "maximum": 9.5}, "between 0 and 9.5"),
        ({}, "finite"),
    ],
)
def test_limits_are_named_as_they_are_declared(bounds, limits):
    assert RangeCheck(Column(name="a", dtype="number", **bounds)).limits == limits
