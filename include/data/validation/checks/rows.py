"""Checks of single rows, and the rows that they reject."""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from include.data.lake.dtypes import TIMESTAMP
from include.data.reading.misfit_causes import misfit_cause
from include.data.reading.raw import display
from include.data.reading.table import MALFORMED, MalformedLine
from include.data.validation.checks.freshness import format_duration
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
        if MALFORMED not in batch.columns:
            return None
        malformed = batch.frame_of([MALFORMED])[MALFORMED].dropna()
        if malformed.empty:
            return None
        lines = malformed.map(lambda text: MalformedLine.from_json(text).describe())
        return row_result(
            "expect_column_values_to_be_null",
            MALFORMED,
            lines,
            message="the line could not be read",
            checked_rows=batch.n_rows,
        )


@dataclass(frozen=True)
class MissingColumnCheck:
    """A declared column is in the rows."""

    column: str

    def run(self, batch: Batch) -> CheckResult:
        """Return whether the column is there; its absence blocks."""
        return missing_column_result(self.column, success=self.column in batch.columns)


@dataclass(frozen=True)
class TypeCheck:
    """The values of a column, as they came, are of its declared type; the reader found those that are not."""

    column: Column
    misfits: pd.Series[Any] = field(repr=False)

    def run(self, batch: Batch) -> CheckResult:
        """Return the values that are not of the type, and why."""
        # Values recur: each cause is looked for once. Of 1 and true only the type differs.
        causes: dict[tuple[type, Any], str] = {}
        for value in self.misfits:
            key = (type(value), value)
            if key not in causes:
                causes[key] = misfit_cause(value, self.column.dtype)
        row_causes = tuple(causes[type(value), value] for value in self.misfits)
        result = row_result(
            "expect_column_values_to_be_of_type",
            self.column.name,
            self.misfits.map(display),
            message=f"{self.column.name} is no {self.column.dtype}",
            checked_rows=batch.n_rows,
            parameters={"type_": self.column.dtype},
        )
        return replace(result, causes=dict(Counter(row_causes)), row_causes=row_causes)


@dataclass(frozen=True)
class PartitionWindowCheck:
    """The moments in a column are at most `column.within` away from the partition of their row."""

    column: Column

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the moments that are too far away, or None if the column is missing; a null is not."""
        within = self.column.within
        if within is None or self.column.name not in batch.columns:
            return None
        requested = batch.partitions.partitions
        calendar = batch.calendar
        starts = pa.array([_bounded(calendar.start_of(day), -within) for day in requested], TIMESTAMP)
        ends = pa.array([_bounded(calendar.end_of(day), within) for day in requested], TIMESTAMP)
        positions = pa.array(np.maximum(batch.positions, 0))
        moments = batch.table[self.column.name].cast(TIMESTAMP)
        is_outside = pc.or_(
            pc.less(moments, starts.take(positions)), pc.greater_equal(moments, ends.take(positions))
        )
        failed = to_mask(is_outside) & batch.is_requested
        return row_result(
            "expect_column_values_to_be_between",
            self.column.name,
            failed_values(batch, self.column.name, failed),
            message=f"{self.column.name} is more than {format_duration(within)} away from its partition",
            checked_rows=batch.n_rows,
            severity=self.column.severity,
            parameters={"min_value": str(starts[0]), "max_value": str(ends[-1])},
        )


@dataclass(frozen=True)
class NotNullCheck:
    """A column is never null."""

    column: str
    severity: Severity = "critical"

    def run(self, batch: Batch) -> CheckResult:
        """Return the rows with a null."""
        values = batch.table[self.column]
        failed = to_mask(values.is_null()) if values.null_count else np.zeros(batch.n_rows, dtype=bool)
        return row_result(
            "expect_column_values_to_not_be_null",
            self.column,
            failed_values(batch, self.column, failed),
            message=f"{self.column} is null",
            checked_rows=batch.n_rows,
            severity=self.severity,
        )


@dataclass(frozen=True)
class AllowedValuesCheck:
    """The values of a column are among the declared ones; a null is not checked."""

    column: Column

    def run(self, batch: Batch) -> CheckResult:
        """Return the rows with another value."""
        name = self.column.name
        allowed = self.column.allowed or ()
        values = batch.table[name]
        is_other = pc.invert(pc.is_in(values, value_set=pa.array(allowed).cast(values.type)))
        failed = to_mask(pc.and_(is_other, values.is_valid()))
        return row_result(
            "expect_column_values_to_be_in_set",
            name,
            failed_values(batch, name, failed),
            message=f"{name} is none of {', '.join(map(str, allowed))}",
            checked_rows=batch.n_rows,
            severity=self.column.severity,
            parameters={"value_set": list(allowed)},
        )


@dataclass(frozen=True)
class RangeCheck:
    """The values of a column lie between the declared bounds, or are finite; a null is not checked."""

    column: Column

    def run(self, batch: Batch) -> CheckResult:
        """Return the rows with a value outside."""
        name = self.column.name
        values = batch.table[name]
        if not pa.types.is_integer(values.type) and not pa.types.is_floating(values.type):
            return self._impossible()
        is_integer = pa.types.is_integer(values.type)
        minimum = _clip(math.ceil(self.minimum)) if is_integer else _double_from(self.minimum)
        maximum = _clip(math.floor(self.maximum)) if is_integer else -_double_from(-self.maximum)
        failed = to_mask(pc.less(values, pa.scalar(minimum))) | to_mask(
            pc.greater(values, pa.scalar(maximum))
        )
        return row_result(
            "expect_column_values_to_be_between",
            name,
            failed_values(batch, name, failed),
            message=f"{name} is not {self.limits}",
            checked_rows=batch.n_rows,
            severity=self.column.severity if self.is_bounded else "critical",
            parameters={"min_value": self.minimum, "max_value": self.maximum},
        )

    def _impossible(self) -> CheckResult:
        """Return the result for values that are no numbers: it blocks, since nothing was checked."""
        error = f"a {self.column.dtype} has no numbers to compare"
        return CheckResult(
            expectation="expect_column_values_to_be_between",
            column=self.column.name,
            severity=self.column.severity,
            success=False,
            failed_rows=0,
            examples=(),
            message=f"{self.column.name} is not {self.limits} could not be checked: {error}",
            blocking=True,
            error=error,
        )

    @property
    def is_bounded(self) -> bool:
        """Whether a bound is declared."""
        return self.column.minimum is not None or self.column.maximum is not None

    @property
    def minimum(self) -> float:
        """The smallest valid value: an undeclared bound is the largest finite number."""
        return -MAX_FINITE if self.column.minimum is None else self.column.minimum

    @property
    def maximum(self) -> float:
        """The largest valid value."""
        return MAX_FINITE if self.column.maximum is None else self.column.maximum

    @property
    def limits(self) -> str:
        """What a valid value is."""
        minimum = self.column.minimum
        maximum = self.column.maximum
        if minimum is None and maximum is None:
            return "finite"
        if maximum is None:
            return f"at least {_format_bound(self.minimum)}"
        if minimum is None:
            return f"at most {_format_bound(self.maximum)}"
        return f"between {_format_bound(minimum)} and {_format_bound(maximum)}"


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


def value_checks(columns: Iterable[Column], key: Sequence[str]) -> list[Check]:
    """
    Return the declared rules of each row's values; a column of the key is never null.

    They are not run by Great Expectations, which takes ten times the time and the memory; `row_expectations`
    in `suites.py` has the same rules as expectations, for frames and queries, and a test compares both.
    """
    checks: list[Check] = []
    for column in columns:
        if column.name in key:
            checks.append(NotNullCheck(column.name))
        elif not column.nullable:
            checks.append(NotNullCheck(column.name, column.severity))
        if column.allowed is not None:
            checks.append(AllowedValuesCheck(column))
        if column.minimum is not None or column.maximum is not None or column.dtype == "number":
            checks.append(RangeCheck(column))
    return checks


def failed_values(batch: Batch, column: str, failed: Array) -> pd.Series[Any]:
    """Return the values of the failed rows (n,), numbered."""
    if not failed.any():
        return pd.Series(dtype=object, index=batch.numbers[:0])
    values = batch.table[column].filter(pa.array(failed)).to_pylist()
    return pd.Series(values, index=batch.numbers[failed], dtype=object)


def to_mask(values: pa.Array | pa.ChunkedArray) -> Array:
    """Return booleans as a mask (n,), False for a null."""
    mask: Array = pc.fill_null(values, fill_value=False).to_numpy(zero_copy_only=False)
    return mask


def _double_from(bound: float) -> float:
    """Return the smallest double that is not below the bound, which may be an integer of any length."""
    nearest = float(bound)
    return nearest if nearest >= bound else math.nextafter(nearest, math.inf)


def _format_bound(bound: float) -> str:
    """Return a bound as it is declared: an integer with all of its digits."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _clip(bound: int) -> int:
    """Return the nearest integer of 64 bits."""
    return min(max(bound, -(2**63)), 2**63 - 1)


def _bounded(moment: datetime, offset: timedelta) -> datetime:
    """Return a moment with an offset, or the first or last moment that there is."""
    try:
        return moment + offset
    except OverflowError:
        limit = datetime.min if offset < timedelta(0) else datetime.max
        return limit.replace(tzinfo=UTC)
