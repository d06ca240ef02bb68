from __future__ import annotations

from include.data.validation.masking import mask_results
from include.data.validation.results import CheckResult
from include.declarations import Column

COLUMNS = (Column(name="email", dtype="string", personal=True), Column(name="age", dtype="integer"))


def failure(column, **changes):
    values = {"expectation": "expect", "column": column, "severity": "critical", "success": False}
    values |= {"failed_rows": 2, "examples": ("ann", "bob"), "message": "is wrong"}
    return CheckResult(**values | changes)


def test_values_of_personal_columns_are_masked():
    (masked,) = mask_results([failure("age, email", parameters={"value_set": ["ann"]})], COLUMNS)
    assert masked.examples == ("***", "***")
    assert masked.parameters == {"value_set": "***"}
    assert (masked.failed_rows, masked.message) == (2, "is wrong")


def test_other_columns_show_their_values():
    result = failure("age", observed=["ann"])
    assert mask_results([result], COLUMNS) == [result]
    assert mask_results([failure("email")], COLUMNS[1:]) == [failure("email")]


def test_result_that_may_show_any_column_is_masked():
    results = mask_results([failure(""), failure("email", observed=["ann"], error="ann is odd")], COLUMNS)
    assert [result.examples for result in results] == [("***", "***")] * 2
    assert (results[1].observed, results[1].error, results[1].message) == (
        "***",
        "***",
        "could not be checked",
    )


def test_measured_figure_of_a_personal_column_is_shown():
    assert mask_results([failure("email", observed=0.5)], COLUMNS)[0].observed == 0.5
