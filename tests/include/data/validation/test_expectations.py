"""Checks that Great Expectations runs."""

from __future__ import annotations

from datetime import date

import great_expectations.expectations as gxe
import pandas as pd

from include.data.validation.batch import Batch
from include.data.validation.expectations import ExpectationCheck, run_expectations

DAY = date(2013, 1, 1)
RANGE = gxe.ExpectColumnValuesToBeBetween(column="speed", min_value=0, max_value=150)


def batch(speeds):
    return Batch.of(pd.DataFrame({"speed": speeds, "_airworthy_day": f"{DAY}"}), [DAY])


def test_expectation_that_rejects_rows_names_their_numbers():
    rows = batch([1.0, 200.0, 300.0])
    result = ExpectationCheck(RANGE, "speed is too high", rejects_rows=True).run(rows)
    assert (result.row_numbers.tolist(), result.blocking) == ([1, 2], False)
    assert (result.failed_rows, result.examples) == (2, (200.0, 300.0))
    assert result.checked_rows == 3
    assert {"min_value": 0.0, "max_value": 150.0}.items() <= result.parameters.items()


def test_expectation_of_a_table_blocks_without_row_numbers():
    result = ExpectationCheck(RANGE, "speed is too high").run(batch([200.0]))
    assert (result.row_numbers, result.blocking) == (None, True)


def test_expectations_run_in_order_in_one_call():
    mean = gxe.ExpectColumnMeanToBeBetween(column="speed", max_value=5, severity="warning")
    checks = [ExpectationCheck(mean, "the mean is too high"), ExpectationCheck(RANGE, "too high")]
    results = run_expectations(batch([1.0, 20.0]).frame, checks)
    assert [result.name for result in results] == [
        "expect_column_mean_to_be_between(speed)",
        "expect_column_values_to_be_between(speed)",
    ]
    assert (results[0].observed, results[0].blocking) == (10.5, False)


def test_expectation_of_an_empty_batch_does_not_apply():
    assert ExpectationCheck(RANGE, "speed is too high").run(batch([])) is None
    assert run_expectations(batch([1.0]).frame, []) == []


def test_expectation_that_raises_blocks_at_any_severity():
    unknown = gxe.ExpectColumnValuesToBeBetween(column="nowhere", min_value=1, severity="info")
    result = ExpectationCheck(unknown, "nowhere is low").run(batch([1.0]))
    assert (result.success, result.blocking, result.severity) == (False, True, "info")
    assert result.error in result.message
    assert result.message.startswith("nowhere is low could not be checked: ")


def test_expectation_that_requires_values_fails_on_nulls_alone():
    rows = batch(pd.Series([None, None], dtype=float))
    assert ExpectationCheck(RANGE, "too high").run(rows).success
    result = ExpectationCheck(RANGE, "too high", requires_values=True).run(rows)
    assert result.message == "too high could not be checked: all of 2 values are null"


def test_large_integers_beside_a_null_are_compared_exactly():
    frame = pd.DataFrame({"id": pd.array([2**53 + 1, 2**53, -(2**63), None], dtype="Int64")})
    unique = gxe.ExpectColumnValuesToBeUnique(column="id")
    limit = gxe.ExpectColumnValuesToBeBetween(column="id", max_value=2**53)
    checks = [ExpectationCheck(unique, "twice"), ExpectationCheck(limit, "too large", rejects_rows=True)]
    results = run_expectations(frame, checks)
    assert [result.success for result in results] == [True, False]
    assert results[1].row_numbers.tolist() == [0]
