"""Columns and expectations that somebody else's data is to keep, checked as a frame or in its database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import great_expectations.expectations as gxe

from include.data.validation import expectations as gate
from include.data.validation.expectations import OF_TABLE, Check, make_result
from include.data.validation.results import Outcome, ValidationResult, passed, to_check_result
from include.data.validation.row_checks import coerce_columns
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from include.declarations import Column

ONE_IN_A_BILLION = 1e-9  # `mostly`: any value at all


@dataclass(frozen=True)
class Suite:
    """
    What data is to keep: declared columns, expectations of Great Expectations, a key.

    `expectations` may be a suite, a list, or a function that returns one when the task runs.
    """

    columns: Sequence[Column] = ()
    expectations: Any = ()
    key: Sequence[str] = ()

    def declared_checks(self) -> list[Check]:
        """Return what follows from the columns and the key; and that there are rows at all."""
        rows = gxe.ExpectTableRowCountToBeBetween(min_value=1)
        checks = [Check(rows, OF_TABLE, "there are no rows")]
        checks += gate.row_checks(self.columns, self.key)
        for column in self.columns:
            if column.nullable and column.name not in self.key:
                checks.append(_not_all_null(column))
        if self.key:
            spoken = f"the key ({', '.join(self.key)}) is there more than once"
            checks.append(Check(_unique(self.key), OF_TABLE, spoken))
        return [replace(check, scope=OF_TABLE) for check in checks]

    def declared_checks_without(self, wrong: set[str]) -> list[Check]:
        """Return the same but for columns of which it is known already that they are wrong."""
        return [check for check in self.declared_checks() if not _named(check) & wrong]

    def user_checks(self) -> list[Check]:
        """
        Return the user's expectations.

        :raises DataError: if they are none of Great Expectations'
        """
        given = self.expectations() if callable(self.expectations) else self.expectations
        listed = given.expectations if isinstance(given, gx.ExpectationSuite) else given
        listed = [listed] if isinstance(listed, gxe.Expectation) else list(listed or ())
        wrong = [one for one in listed if not isinstance(one, gxe.Expectation)]
        if wrong:
            raise DataError(
                f"expectations: {wrong[0]!r} is no expectation. Give instances from "
                "great_expectations.expectations, a suite, or a function that returns them."
            )
        return [Check(one, OF_TABLE, _spoken(one)) for one in listed]


def validate_frame(frame: pd.DataFrame, suite: Suite) -> ValidationResult:
    """Return what a frame keeps; a critical failure of a single row blocks, since nothing is quarantined."""
    values, outcomes = coerce_columns(frame, suite.columns)
    typed = frame.assign(**values)
    slow = {name: "float64" for name, dtype in typed.dtypes.items() if str(dtype) == "Int64"}
    plain = typed.astype(slow) if slow else typed
    derived = suite.declared_checks_without({column.name for column in suite.columns} - set(typed.columns))
    own = suite.user_checks()
    results = gate.run_on_frame(plain, derived + own)
    outcomes = [(replace(check, scope=OF_TABLE), outcome) for check, outcome in outcomes]
    return to_validation_result(len(frame), outcomes, list(zip(derived + own, results, strict=True)), own)


def to_validation_result(
    rows: int, known: list[Outcome], found: list[Outcome], own: list[Check]
) -> ValidationResult:
    """Return what was found; an expectation of the user that had no value to look at has failed."""
    judged = [
        (check, fail_if_empty(outcome) if any(check is one for one in own) else outcome)
        for check, outcome in found
    ]
    outcomes = known + judged
    results = tuple(to_check_result(check, outcome) for check, outcome in outcomes)
    return ValidationResult(passed(results), rows, results, tuple(outcome for _, outcome in outcomes))


def fail_if_empty(outcome: Any) -> Any:
    """Return the outcome, as one that could not be checked where it passed for want of any value."""
    kind, details = str(outcome.expectation_config.type), outcome.result
    rows, nulls = details.get("element_count"), details.get("missing_count") or 0
    if not outcome.success or rows is None or rows > nulls or "null" in kind:
        return outcome
    why = "there are no rows" if rows == 0 else f"all of {rows:,} values are null"
    outcome.success = False
    outcome.exception_info = {"raised_exception": True, "exception_message": why}
    return outcome


def missing_columns(columns: Sequence[Column], names: Mapping[str, str | None]) -> list[Outcome]:
    """Return what a table with columns of these types lacks of the declared ones."""
    outcomes: list[Outcome] = []
    for column in columns:
        if column.name not in names:
            outcome = make_result("expect_column_to_exist", column.name, success=False)
            outcomes.append((Check(None, OF_TABLE, f"there is no column {column.name}"), outcome))
            continue
        found = names[column.name]
        fits = found in (column.dtype, None) or (found, column.dtype) == ("integer", "number")
        told = f"{column.name} is no {column.dtype}, its values are of type {found}"
        kind = "expect_column_values_to_be_of_type"
        outcomes.append(
            (Check(None, OF_TABLE, told), make_result(kind, column.name, success=fits, type_=column.dtype))
        )
    return outcomes


def _named(check: Check) -> set[str]:
    column = getattr(check.expectation, "column", None)
    return set(getattr(check.expectation, "column_list", None) or ([column] if column else []))


def _unique(key: Sequence[str]) -> Any:
    if len(key) == 1:
        return gxe.ExpectColumnValuesToBeUnique(column=key[0])
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(key), ignore_row_if="any_value_is_missing")


def _not_all_null(column: Column) -> Check:
    mostly = ONE_IN_A_BILLION if column.maximum_nulls is None else 1 - column.maximum_nulls
    expectation = gxe.ExpectColumnValuesToNotBeNull(
        column=column.name, mostly=mostly, severity=column.severity
    )
    limit = column.maximum_nulls
    told = "has no value but null" if limit is None else f"is null in more than {limit:.1%} of the rows"
    return Check(expectation, OF_TABLE, f"{column.name} {told}")


def _spoken(expectation: Any) -> str:
    if expectation.description:
        return str(expectation.description)
    ignored = {"column", "column_list", "batch_id"}
    kwargs = expectation.configuration.kwargs
    asked = ", ".join(f"{name}={value}" for name, value in kwargs.items() if name not in ignored)
    return f"does not hold{f' with {asked}' if asked else ''}"
