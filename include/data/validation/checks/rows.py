"""Checks of single rows, and the rows that they reject."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd

from include.data.reading.raw import display
from include.data.reading.table import MALFORMED, MalformedLine
from include.data.validation.checks.freshness import format_duration
from include.data.validation.expectations import ExpectationCheck
from include.data.validation.results import CheckResult, row_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.results import Check
    from include.declarations import Column, Severity

    Array = np.ndarray[Any, Any]

MAX_FINITE = sys.float_info.max


@dataclass(frozen=True)
class MalformedLineCheck:
    """Every line of the source could be parsed."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the lines that could not be parsed, or None if there are none."""
        if MALFORMED not in batch.frame.columns:
            return None
        malformed = batch.frame[MALFORMED].dropna()
        if malformed.empty:
            return None
        lines = malformed.map(lambda text: MalformedLine.from_json(text).describe())
        return row_result(
            "expect_column_values_to_be_null",
            MALFORMED,
            lines,
            message="the line could not be read",
            checked_rows=len(batch.frame),
        )


@dataclass(frozen=True)
class MissingColumnCheck:
    """A declared column is in the rows."""

    column: str

    def run(self, batch: Batch) -> CheckResult:
        """Return whether the column is there; its absence blocks."""
        return missing_column_result(self.column, success=self.column in batch.frame.columns)


@dataclass(frozen=True)
class TypeCheck:
    """The values of a column, as they came, are of its declared type; the reader found those that are not."""

    column: Column
    misfits: pd.Series[Any] = field(repr=False)

    def run(self, batch: Batch) -> CheckResult:
        """Return the values that are not of the type."""
        return row_result(
            "expect_column_values_to_be_of_type",
            self.column.name,
            self.misfits.map(display),
            message=f"{self.column.name} is no {self.column.dtype}",
            checked_rows=len(batch.frame),
            parameters={"type_": self.column.dtype},
        )


@dataclass(frozen=True)
class PartitionWindowCheck:
    """The moments in a column are at most `column.within` away from the partition of their row."""

    column: Column

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the moments that are too far away, or None if the column is missing; a null is not."""
        within = self.column.within
        if within is None or self.column.name not in batch.frame.columns:
            return None
        requested = batch.partitions.partitions
        starts = pd.DatetimeIndex(
            [batch.calendar.start_of(partition) - within for partition in requested]
        ).as_unit("us")
        ends = pd.DatetimeIndex(
            [batch.calendar.end_of(partition) + within for partition in requested]
        ).as_unit("us")
        positions = np.maximum(batch.positions, 0)
        values = batch.frame[self.column.name]
        moments = pd.DatetimeIndex(values)
        is_outside = np.asarray((moments < starts.take(positions)) | (moments >= ends.take(positions)))
        return row_result(
            "expect_column_values_to_be_between",
            self.column.name,
            values[is_outside & batch.is_requested],
            message=f"{self.column.name} is more than {format_duration(within)} away from its partition",
            checked_rows=len(values),
            severity=self.column.severity,
            parameters={"min_value": str(starts[0]), "max_value": str(ends[-1])},
        )


def missing_column_result(column: str, *, success: bool = False) -> CheckResult:
    """Return the result of looking for a declared column; its absence blocks."""
    return CheckResult(
        expectation="expect_column_to_exist",
        column=column,
        severity="critical",
        success=success,
        failed_rows=0,
        examples=(),
        message="" if success else f"there is no column {column}",
        blocking=not success,
    )


def type_checks(columns: Sequence[Column], misfits: Mapping[str, pd.Series[Any]]) -> list[Check]:
    """Return a check of each column's type, or of its existence where it was not read."""
    return [
        TypeCheck(column, misfits[column.name]) if column.name in misfits else MissingColumnCheck(column.name)
        for column in columns
    ]


def window_checks(columns: Sequence[Column]) -> list[Check]:
    """Return a check of each column whose moments must be near their partition."""
    return [PartitionWindowCheck(column) for column in columns if column.within is not None]


def value_checks(columns: Iterable[Column], key: Sequence[str]) -> list[ExpectationCheck]:
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


def _allowed_values(column: Column, allowed: Sequence[str]) -> ExpectationCheck:
    expectation = gxe.ExpectColumnValuesToBeInSet(
        column=column.name, value_set=list(allowed), severity=column.severity
    )
    message = f"{column.name} is none of {', '.join(allowed)}"
    return ExpectationCheck(expectation, message, rejects_rows=True)


def _range(column: Column) -> ExpectationCheck:
    """Return the check of a column's declared range; an undeclared bound is the largest finite number."""
    is_bounded = column.minimum is not None or column.maximum is not None
    minimum = -MAX_FINITE if column.minimum is None else column.minimum
    maximum = MAX_FINITE if column.maximum is None else column.maximum
    expectation = gxe.ExpectColumnValuesToBeBetween(
        column=column.name,
        min_value=minimum,
        max_value=maximum,
        severity=column.severity if is_bounded else "critical",
    )
    limits = f"between {minimum:g} and {maximum:g}" if is_bounded else "finite"
    return ExpectationCheck(expectation, f"{column.name} is not {limits}", rejects_rows=True)
