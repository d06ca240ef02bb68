"""A declaration's promises as Great Expectations' expectations, and how they are put to a frame."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import great_expectations.expectations as gxe
from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.datasource.fluent import Batch

    from include.declarations import Column, Severity

FINITE = sys.float_info.max
OF_ROWS, OF_TABLE, OF_DAYS = "rows", "table", "days"


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation, of what it is, and in a person's words what a failure of it means."""

    expectation: Any
    scope: str
    failure_message: str


def row_checks(columns: Iterable[Column], key: Sequence[str]) -> list[Check]:
    """Return what each row must keep for itself; a key is never null, whatever is declared."""
    checks = []
    for column in columns:
        if not column.nullable or column.name in key:
            severity: Severity = "critical" if column.name in key else column.severity
            expectation = gxe.ExpectColumnValuesToNotBeNull(column=column.name, severity=severity)
            checks.append(Check(expectation, OF_ROWS, f"{column.name} is null"))
        checks += _of_values(column)
    return checks


def table_checks(key: Sequence[str], days: Sequence[str], *, parts: Sequence[str] = ("day",)) -> list[Check]:
    """Return what all rows must keep together: no key twice in a partition, no row of another day."""
    unique = gxe.ExpectCompoundColumnsToBeUnique(
        column_list=list(dict.fromkeys((*parts, *key))), ignore_row_if="any_value_is_missing"
    )
    twice = f"the key ({', '.join(key)}) is there more than once"
    return [
        Check(unique, OF_TABLE, twice),
        Check(gxe.ExpectColumnValuesToNotBeNull(column="day"), OF_TABLE, "a row has no day"),
        Check(
            gxe.ExpectColumnValuesToBeInSet(column="day", value_set=list(days)),
            OF_TABLE,
            "a row is of a day that was not asked for",
        ),
    ]


def day_checks(volume: tuple[int, int], quarantine_limit: float) -> list[Check]:
    """Return what each day must keep: its number of accepted rows, and the share of refused ones."""
    low, high = volume
    return [
        Check(
            gxe.ExpectColumnValuesToBeBetween(column="rows_per_day", min_value=low, max_value=high),
            OF_DAYS,
            f"a day does not have {low} to {high} good rows",
        ),
        Check(
            gxe.ExpectColumnValuesToBeBetween(
                column="refused_share_per_day", min_value=0, max_value=quarantine_limit
            ),
            OF_DAYS,
            f"more than {quarantine_limit:.1%} of a day's rows were refused",
        ),
    ]


def run_on_frame(
    frame: pd.DataFrame, checks: Sequence[Check], *, complete: bool = False
) -> list[ExpectationValidationResult]:
    """
    Return one result per check, in order; with `complete`, it names the index of every failing row.

    The context lives as long as the call: parallel tasks that share one corrupt it.
    """
    asset = context().data_sources.add_pandas("frame").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    return run_on_batch(batch, checks, "COMPLETE" if complete else "BASIC")


def context() -> EphemeralDataContext:
    """Return a context that writes no file and calls nobody."""
    made = gx.get_context(mode="ephemeral")
    made.enable_analytics(enable=False)
    made.variables.progress_bars = ProgressBarsConfig(globally=False)
    return made


def run_on_batch(
    batch: Batch, checks: Sequence[Check], result_format: str | dict[str, Any]
) -> list[ExpectationValidationResult]:
    """Return one result per check of a batch of Great Expectations, in order."""
    outcomes = []
    for position, one in enumerate(checks):
        one.expectation.meta = {**(one.expectation.meta or {}), "position": position}
        outcomes.append(one.expectation)
    suite = gx.ExpectationSuite(name="declared", expectations=outcomes)
    results = batch.validate(suite, result_format=result_format).results
    return sorted(results, key=lambda result: int(result.expectation_config.meta["position"]))


def make_result(
    expectation: str,
    column: str,
    *,
    success: bool,
    result: dict[str, Any] | None = None,
    severity: Severity = "critical",
    **kwargs: Any,
) -> ExpectationValidationResult:
    """Return the result of something that was found without running Great Expectations."""
    configuration = ExpectationConfiguration(
        type=expectation, kwargs={"column": column, **kwargs}, severity=FailureSeverity(severity)
    )
    return ExpectationValidationResult(success=success, expectation_config=configuration, result=result)


def exception(result: ExpectationValidationResult) -> str | None:
    """Return why the expectation could not be checked, or None when it was."""
    info = result.exception_info or {}
    raised = [info] if "raised_exception" in info else list(info.values())
    messages = [str(one.get("exception_message")) for one in raised if one.get("raised_exception")]
    return "; ".join(messages) or None


def data_docs_page(results: Sequence[ExpectationValidationResult], *, passed: bool, name: str) -> str:
    """Return the results as one page of Great Expectations' data docs."""
    kept = sum(bool(result.success) for result in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": kept,
        "unsuccessful_expectations": len(results) - kept,
        "success_percent": 100 * kept / len(results),
    }
    suite = ExpectationSuiteValidationResult(
        success=passed, results=list(results), suite_name=name, statistics=statistics
    )
    return str(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(suite)))


def _of_values(column: Column) -> list[Check]:
    name, severity = column.name, column.severity
    checks = []
    if column.allowed is not None:
        allowed = gxe.ExpectColumnValuesToBeInSet(
            column=name, value_set=list(column.allowed), severity=severity
        )
        checks.append(Check(allowed, OF_ROWS, f"{name} is none of {', '.join(column.allowed)}"))
    bounded = column.minimum is not None or column.maximum is not None
    if bounded or column.dtype == "number":
        low = -FINITE if column.minimum is None else column.minimum
        high = FINITE if column.maximum is None else column.maximum
        between = gxe.ExpectColumnValuesToBeBetween(
            column=name, min_value=low, max_value=high, severity=severity if bounded else "critical"
        )
        spoken = f"between {low:g} and {high:g}" if bounded else "finite"
        checks.append(Check(between, OF_ROWS, f"{name} is not {spoken}"))
    return checks
