"""Checks of single rows."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.reading.table import MALFORMED, MalformedLine
from include.data.validation.batch import Batch
from include.data.validation.checks.rows import (
    MalformedLineCheck,
    MissingColumnCheck,
    PartitionWindowCheck,
    TypeCheck,
    type_checks,
    value_checks,
    window_checks,
)
from include.data.validation.expectations import run_expectations
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
