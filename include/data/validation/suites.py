"""Validation of any frame against columns, a key and expectations, where no row is quarantined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import great_expectations.expectations as gxe

from include.data.validation.batch import Batch
from include.data.validation.checks.rows import RangeCheck, type_checks
from include.data.validation.checks.tables import describe_null_limit
from include.data.validation.coerce import coerce_columns
from include.data.validation.expectations import (
    ExpectationCheck,
    run_expectations,
    user_checks,
)
from include.data.validation.masking import mask_results
from include.data.validation.results import ValidationResult, passed
from include.data.validation.runner import run_checks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import pandas as pd

    from include.data.validation.results import CheckResult
    from include.declarations import Column, Severity

# `mostly` of an expectation that a single value satisfies.
ANY_VALUE = 1e-9


@dataclass(frozen=True)
class Suite:
    """
    Rules for a frame or a query.

    Attributes
    ----------
    columns : sequence of Column
        Declared columns.
    expectations : object
        A suite of Great Expectations, a list of expectations, or a function that returns one of them.
    key : sequence of str
        Columns that identify a row.
    """

    columns: Sequence[Column] = ()
    expectations: Any = ()
    key: Sequence[str] = ()

    def declared_checks(self) -> list[ExpectationCheck]:
        """Return the checks that follow from the columns and the key, and that there are rows."""
        has_rows = gxe.ExpectTableRowCountToBeBetween(min_value=1)
        checks = [ExpectationCheck(has_rows, "there are no rows")]
        checks += [replace(check, rejects_rows=False) for check in row_expectations(self.columns, self.key)]
        for column in self.columns:
            if column.nullable and column.name not in self.key:
                checks.append(_not_all_null(column))
        if self.key:
            message = f"the key ({', '.join(self.key)}) is there more than once"
            checks.append(ExpectationCheck(_unique_key(self.key), message))
        return checks

    def declared_checks_without(self, columns: Collection[str]) -> list[ExpectationCheck]:
        """Return the declared checks except those of the named columns, which are wrong already."""
        return [check for check in self.declared_checks() if not set(check.columns) & set(columns)]

    def user_checks(self) -> list[ExpectationCheck]:
        """Return the user's expectations as checks that need a value to pass."""
        return user_checks(self.expectations)


def validate_frame(frame: pd.DataFrame, suite: Suite) -> ValidationResult:
    """Validate all rows of a frame; a critical failure of a single row blocks, as no row is quarantined."""
    coerced = coerce_columns(frame, suite.columns)
    type_results = run_checks(type_checks(suite.columns, coerced.misfits), Batch.unpartitioned(frame))
    missing = {column.name for column in suite.columns if column.name not in coerced.misfits}
    checks = suite.declared_checks_without(missing) + suite.user_checks()
    results = run_expectations(frame.assign(**coerced.typed), checks)
    return to_validation_result(len(frame), mask_results([*type_results, *results], suite.columns))


def to_validation_result(n_rows: int, results: Sequence[CheckResult]) -> ValidationResult:
    """Return the results of `n_rows` rows, of which every critical failure blocks."""
    blocking = tuple(result.blocking_if_critical() for result in results)
    return ValidationResult(passed(blocking), n_rows, blocking)


def _unique_key(key: Sequence[str]) -> Any:
    if len(key) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=key[0])
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key), ignore_row_if="any_value_is_missing")


def _not_all_null(column: Column) -> ExpectationCheck:
    mostly = ANY_VALUE if column.maximum_nulls is None else 1 - column.maximum_nulls
    expectation = gxe.ExpectColumnValuesToNotBeNull(
        column=column.name, mostly=mostly, severity=column.severity
    )
    return ExpectationCheck(expectation, f"{column.name} {describe_null_limit(column)}")


def row_expectations(columns: Iterable[Column], key: Sequence[str]) -> list[ExpectationCheck]:
    """Return the declared rules of each row's values; a column of the key is never null."""
    checks = []
    for column in columns:
        if not column.nullable or column.name in key:
            severity: Severity = "critical" if column.name in key else column.severity
            expectation = gxe.ExpectColumnValuesToNotBeNull(column=column.name, severity=severity)
            checks.append(ExpectationCheck(expectation, f"{column.name} is null", rejects_rows=True))
        if column.allowed is not None:
            checks.append(_allowed_values(column, column.allowed))
        if column.minimum is not None or column.maximum is not None or column.dtype == "number":
            checks.append(_range(column))
    return checks


def _allowed_values(column: Column, allowed: Sequence[object]) -> ExpectationCheck:
    expectation = gxe.ExpectColumnValuesToBeInSet(
        column=column.name, value_set=list(allowed), severity=column.severity
    )
    message = f"{column.name} is none of {', '.join(map(str, allowed))}"
    return ExpectationCheck(expectation, message, rejects_rows=True)


def _range(column: Column) -> ExpectationCheck:
    """Return the check of a column's declared range; an undeclared bound is the largest finite number."""
    declared = RangeCheck(column)
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column=column.name,
        min_value=declared.minimum,
        max_value=declared.maximum,
        severity=column.severity if declared.is_bounded else "critical",
    )
    return ExpectationCheck(expectation, f"{column.name} is not {declared.limits}", rejects_rows=True)
