"""Checks that Great Expectations runs, many of them in one call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import great_expectations as gx
import great_expectations.expectations as gxe
import numpy as np
import pyarrow as pa
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    MulticolumnMapExpectation,
)

from include.data.lake import dtypes
from include.data.validation.results import MAX_EXAMPLES, CheckResult
from include.errors import DataError, DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context import EphemeralDataContext
    from great_expectations.datasource.fluent import Batch as GxBatch

    from include.data.validation.batch import Batch
    from include.data.validation.statistics import AcceptedStatistics

# Up to here every integer has a float64 of its own.
MAX_EXACT_FLOAT = 2**53
NOT_PARAMETERS = {"column", "column_list", "column_A", "column_B", "batch_id"}
# Expectations of single values that depend on the other rows, too.
NOT_OF_SINGLE_ROWS = (
    gxe.ExpectColumnValuesToBeUnique,
    gxe.ExpectCompoundColumnsToBeUnique,
)


@dataclass(frozen=True, slots=True)
class ExpectationCheck:
    """
    One expectation of Great Expectations.

    Attributes
    ----------
    expectation : great_expectations.expectations.Expectation
    failure_message : str
        What is wrong if the expectation fails.
    rejects_rows : bool
        Whether a critical failure rejects the rows that fail, instead of all rows.
    requires_values : bool
        Whether the check fails if there was no value that it could look at.
    """

    expectation: Any
    failure_message: str
    rejects_rows: bool = False
    requires_values: bool = False

    @property
    def columns(self) -> list[str]:
        """Columns that the expectation names."""
        return expectation_columns(self.expectation.configuration.kwargs)

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the result, or None for an empty batch: Great Expectations passes almost any empty one."""
        return None if batch.frame.empty else run_expectations(batch.frame, [self])[0]


def run_expectations(frame: pd.DataFrame, checks: Sequence[ExpectationCheck]) -> list[CheckResult]:
    """
    Run all checks in one call of Great Expectations, and return one result per check, in order.

    The numbers of the failed rows are expensive: a second call fetches them for the failed checks that reject
    rows.
    """
    if not checks:
        return []
    plain = _with_plain_dtypes(frame)
    outcomes = _validate(plain, checks, "BASIC")
    positions = [
        position
        for position, outcome in enumerate(outcomes)
        if checks[position].rejects_rows and not outcome.success and not _exception(outcome)
    ]
    if positions:
        complete = _validate(plain, [checks[position] for position in positions], "COMPLETE")
        for position, outcome in zip(positions, complete, strict=True):
            outcomes[position] = outcome
    return [to_check_result(check, outcome) for check, outcome in zip(checks, outcomes, strict=True)]


def user_checks(declared: Any) -> list[ExpectationCheck]:
    """
    Return the user's expectations as checks that need a value to pass.

    Parameters
    ----------
    declared
        A suite of Great Expectations, an expectation, a list of them, or a function that returns one.

    Raises
    ------
    DataError
        If one of them is no expectation of Great Expectations.
    """
    declared = declared() if callable(declared) else declared
    if isinstance(declared, gx.ExpectationSuite):
        declared = declared.expectations
    expectations = [declared] if isinstance(declared, gxe.Expectation) else list(declared or ())
    invalid = [item for item in expectations if not isinstance(item, gxe.Expectation)]
    if invalid:
        raise DataError(
            f"expectations: {invalid[0]!r} is no expectation. Give instances from "
            "great_expectations.expectations, a suite, or a function that returns them."
        )
    return [
        ExpectationCheck(expectation, _describe_failure(expectation), requires_values=True)
        for expectation in expectations
    ]


def declared_expectations(
    declared: Callable[[], Any] | str | None,
) -> tuple[ExpectationCheck, ...]:
    """
    Return the expectations of a declaration: critical failures of single rows reject those rows.

    Parameters
    ----------
    declared
        Function that returns them, or its import path `module:name`; None for none.

    Raises
    ------
    DeclarationError
        If there is no such function.
    """
    if declared is None:
        return ()
    function = _import_function(declared) if isinstance(declared, str) else declared
    checks = []
    for check in user_checks(function):
        is_of_rows = is_of_single_rows(check.expectation)
        checks.append(replace(check, rejects_rows=is_of_rows, requires_values=not is_of_rows))
    return tuple(checks)


def _import_function(path: str) -> Callable[[], Any]:
    module, _, name = path.partition(":")
    function = getattr(import_module(module), name, None)
    if not callable(function):
        raise DeclarationError(f"expectations: there is no function {name} in {module}; correct {path!r}")
    return cast("Callable[[], Any]", function)


def is_of_single_rows(expectation: gxe.Expectation) -> bool:
    """Return whether a row fulfils the expectation or not, whatever the other rows are."""
    kinds = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    is_map = isinstance(expectation, kinds) and not isinstance(expectation, NOT_OF_SINGLE_ROWS)
    return is_map and getattr(expectation, "mostly", 1) == 1


def run_row_expectations(batch: Batch, checks: Sequence[ExpectationCheck]) -> list[CheckResult]:
    """Return the results of expectations of single rows, with the columns that they name."""
    if not checks:
        return []
    columns: dict[str, None] = {}
    for check in checks:
        columns |= dict.fromkeys(check.columns)
    return run_expectations(batch.frame_of(list(columns)), checks)


class TableExpectation:
    """An expectation about all accepted rows; the columns that it names are in memory."""

    def __init__(self, check: ExpectationCheck) -> None:
        self.check = check
        self._parts: list[pa.Table] = []

    def add(self, accepted: Batch) -> None:
        """Take the accepted rows of a batch into account."""
        columns = self.check.columns or accepted.columns
        if accepted.n_rows and set(columns) <= set(accepted.columns):
            self._parts.append(accepted.table.select(columns))

    def result(self, _: AcceptedStatistics) -> CheckResult | None:
        """Return the result, or None without rows: Great Expectations passes almost any empty frame."""
        if not self._parts:
            return None
        frame = dtypes.to_frame(pa.concat_tables(self._parts))
        self._parts.clear()
        return run_expectations(frame, [self.check])[0]


def create_context() -> EphemeralDataContext:
    """
    Return a context that writes no file and sends no usage statistics.

    It belongs to one call: parallel tasks that share a context corrupt it.
    """
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def validate_gx_batch(
    gx_batch: GxBatch, checks: Sequence[ExpectationCheck], result_format: str | dict[str, Any]
) -> list[ExpectationValidationResult]:
    """Return one result of Great Expectations per check, in order."""
    expectations = []
    for position, check in enumerate(checks):
        check.expectation.meta = {**(check.expectation.meta or {}), "position": position}
        expectations.append(check.expectation)
    suite = gx.ExpectationSuite(name="declared", expectations=expectations)
    outcomes = gx_batch.validate(suite, result_format=result_format).results
    return sorted(outcomes, key=lambda outcome: int(outcome.expectation_config.meta["position"]))


def to_check_result(check: ExpectationCheck, outcome: ExpectationValidationResult) -> CheckResult:
    """Return the result of Great Expectations as ours: a check that could not be run fails and blocks."""
    configuration = outcome.expectation_config
    details = outcome.result
    row_numbers = details.get("unexpected_index_list")
    error = _exception(outcome) or (_missing_values(outcome) if check.requires_values else "")
    success = bool(outcome.success) and not error
    severity = str(configuration.severity.value)
    message = f"{check.failure_message} could not be checked: {error}" if error else check.failure_message
    is_critical_failure = not success and severity == "critical"
    return CheckResult(
        expectation=configuration.type,
        column=", ".join(expectation_columns(configuration.kwargs)),
        severity=severity,
        success=success,
        failed_rows=int(details.get("unexpected_count") or 0),
        examples=tuple((details.get("partial_unexpected_list") or [])[:MAX_EXAMPLES]),
        message="" if success else message,
        blocking=bool(error) or (is_critical_failure and not check.rejects_rows),
        parameters=_expectation_limits(configuration.kwargs),
        checked_rows=details.get("element_count"),
        observed=details.get("observed_value"),
        row_numbers=np.asarray(row_numbers) if check.rejects_rows and row_numbers else None,
        example_rows=tuple(row_numbers[:MAX_EXAMPLES]) if check.rejects_rows and row_numbers else (),
        error=error,
    )


def expectation_columns(kwargs: Mapping[str, Any]) -> list[str]:
    """Return the columns that an expectation with these parameters checks."""
    names = [kwargs.get(name) for name in ("column", "column_A", "column_B")]
    return [name for name in (*names, *kwargs.get("column_list", ())) if name]


def _describe_failure(expectation: gxe.Expectation) -> str:
    if expectation.description:
        return str(expectation.description)
    limits = _expectation_limits(expectation.configuration.kwargs)
    text = ", ".join(f"{name}={value}" for name, value in limits.items())
    return f"does not hold with {text}" if text else "does not hold"


def _expectation_limits(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in NOT_PARAMETERS and value is not None}


def _validate(
    frame: pd.DataFrame, checks: Sequence[ExpectationCheck], result_format: str
) -> list[ExpectationValidationResult]:
    asset = create_context().data_sources.add_pandas("frame").add_dataframe_asset("rows")
    gx_batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    return validate_gx_batch(gx_batch, checks, result_format)


def _with_plain_dtypes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return nullable integers as float64, which Great Expectations checks far faster, or exact objects."""
    nullable: dict[Any, Any] = {
        name: "float64" if _fits_float(frame[name]) else object
        for name, dtype in frame.dtypes.items()
        if str(dtype) == "Int64"
    }
    # A copy has one block per dtype again, which makes Great Expectations' own copies cheap.
    return frame.astype(nullable).copy() if nullable else frame


def _fits_float(integers: pd.Series[Any]) -> bool:
    """Return whether every integer of a column is exact as a float64."""
    return bool(integers.dropna().between(-MAX_EXACT_FLOAT, MAX_EXACT_FLOAT).all())


def _exception(outcome: ExpectationValidationResult) -> str:
    """Return why the expectation could not be evaluated, empty if it was."""
    info = outcome.exception_info or {}
    entries = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(
        str(entry.get("exception_message")) for entry in entries if entry.get("raised_exception")
    )


def _missing_values(outcome: ExpectationValidationResult) -> str:
    """Return why a passed expectation had no value to look at, empty if it had one."""
    rows = outcome.result.get("element_count")
    nulls = outcome.result.get("missing_count") or 0
    if not outcome.success or rows is None or rows > nulls or "null" in outcome.expectation_config.type:
        return ""
    return "there are no rows" if rows == 0 else f"all of {rows:,} values are null"
