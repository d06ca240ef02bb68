"""The page of a validation."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest

from include.data.validation.page import render_quality_page
from include.data.validation.results import CheckResult, ValidationResult

RANGE = CheckResult(
    "expect_column_values_to_be_between", "speed", "critical", False, 8, (200.0, 201.0), "speed is too high",
    parameters={"min_value": 0, "max_value": 150}, checked_rows=20,
)  # fmt: skip
NOT_NULL = CheckResult("expect_column_values_to_not_be_null", "id", "critical", True, 0, (), "")
FRESH = CheckResult(
    "expect_column_max_to_be_between", "seen", "warning", False, 1, ("2013-01-01: 20:59",), "seen is stale",
    observed="2013-01-01 20:59",
)  # fmt: skip
VALIDATION = ValidationResult(False, 20, (RANGE, NOT_NULL, FRESH))


def cells(page):
    """Return the texts of the cells of each row of the page's tables."""
    rows = re.findall(r"<tr.*?</tr>", page, flags=re.DOTALL)
    return [re.findall(r"<t[dh]>(.*?)</t[dh]>", row, flags=re.DOTALL) for row in rows]


def test_page_overview_has_status_and_statistics():
    overview = dict(row for row in cells(render_quality_page(VALIDATION, "cars")) if len(row) == 2)
    assert overview == {
        "Status": "Failed",
        "Rows": "20",
        "Rows in quarantine": "0",
        "Evaluated expectations": "3",
        "Successful expectations": "1",
        "Unsuccessful expectations": "2",
        "Success percent": "33.33%",
    }


def test_page_names_the_partitions_if_they_are_known():
    assert ["Partitions", "2013-01-01"] in cells(render_quality_page(VALIDATION, "cars", "2013-01-01"))
    assert "Partitions" not in render_quality_page(VALIDATION, "cars")


def test_page_leaves_out_bounds_that_are_not_declared():
    result = replace(RANGE, parameters={"min_value": 0, "max_value": sys.float_info.max})
    page = render_quality_page(ValidationResult(False, 20, (result,)), "cars")
    assert "min_value=0" in cells(page)[-1]


def test_page_has_every_field_of_each_result():
    rows = cells(render_quality_page(VALIDATION, "cars"))
    assert [
        "failed", "speed", "expect_column_values_to_be_between", "min_value=0, max_value=150", "critical",
        "8 of 20 (40.00%)", "200.0, 201.0", "", "speed is too high",
    ] in rows  # fmt: skip
    assert ["passed", "id", "expect_column_values_to_not_be_null", "", "critical", "0", "", "", ""] in rows
    assert "2013-01-01 20:59" in rows[-1]


def test_page_groups_the_results_by_column():
    again = CheckResult("expect_column_values_to_be_of_type", "speed", "critical", True, 0, (), "")
    page = render_quality_page(ValidationResult(False, 20, (RANGE, NOT_NULL, again)), "cars")
    assert [row[1] for row in cells(page) if len(row) == 9][1:] == ["speed", "speed", "id"]


def test_page_without_results_has_no_success_percent():
    assert "<td></td>" in render_quality_page(ValidationResult(True, 0, ()), "cars")


@pytest.mark.parametrize("field", ["column", "message", "example", "parameter", "observed", "subject"])
def test_page_escapes_every_text(field):
    script = "<script>alert(1)</script>"
    texts = dict.fromkeys(["column", "message", "example", "parameter", "observed", "subject"], "x")
    texts[field] = script
    result = CheckResult(
        "expect_nothing", texts["column"], "critical", False, 1, (texts["example"],), texts["message"],
        parameters={"value_set": texts["parameter"]}, observed=texts["observed"],
    )  # fmt: skip
    page = render_quality_page(ValidationResult(False, 1, (result,)), texts["subject"])
    assert script not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
