"""The gate of every partition: what was declared, checked with Great Expectations."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data import expectations, schemas
from include.data.expectations import OF_DAYS, OF_ROWS, OF_TABLE, Check
from include.errors import DataError, QualityFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from great_expectations.core import ExpectationValidationResult

    from include.declarations import Column

    Outcome = tuple[Check, ExpectationValidationResult]

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one expectation; a failure that is `blocking` refuses the partition."""

    expectation: str
    column: str
    severity: str
    success: bool
    failed_rows: int
    examples: tuple[Any, ...]
    message: str
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a frame: the rows that may be published, those that may not, and the evidence."""

    passed: bool
    rows: int
    results: tuple[Result, ...]
    accepted: pd.DataFrame = field(repr=False)
    quarantined: pd.DataFrame = field(repr=False)
    evidence: tuple[ExpectationValidationResult, ...] = field(repr=False, default=())

    def page(self, name: str = "quality") -> str:
        """Return the evidence as a page of HTML."""
        return expectations.page(self.evidence, passed=self.passed, name=name)

    def as_json(self) -> dict[str, Any]:
        """Return what was found as plain JSON: numbers that are none become text."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "accepted": len(self.accepted),
            "quarantined": len(self.quarantined),
            "results": [
                asdict(result) | {"examples": [_plain(example) for example in result.examples]}
                for result in self.results
            ],
        }

    def raise_if_failed(self, subject: str) -> None:
        """
        Do nothing if the accepted rows may be published.

        :raises QualityFailed: naming what failed, on how many rows, for example which, and what to do
        """
        if self.passed:
            return
        blocking = [result for result in self.results if result.blocking]
        causes = [result for result in self.results if not (result.success or result.blocking)]
        found = "; ".join(_sentence(result) for result in (*blocking, *causes))
        raise QualityFailed(
            f"{subject}: refused {self.rows:,} rows, nothing was published. {found}. Have the source "
            f"corrected and run the partition again, or correct the declaration if the data is right."
        )


def validate(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    key: Sequence[str],
    volume: tuple[int, int],
    days: Sequence[date],
    quarantine_limit: float,
) -> Report:
    """
    Return which rows of `frame` keep what `columns` declare, and whether they may be published.

    A row that breaks a critical promise is quarantined. A partition is refused where a column is missing,
    a key is there twice, a day has too few, too many or too many bad rows, or something could not be checked.
    `accepted` has `day` and the declared columns in their types; `quarantined` the rows as they came, with
    `reasons`.

    :raises DataError: if the frame has no column `day`, or a column twice
    """
    if "day" not in frame.columns or not frame.columns.is_unique:
        raise DataError(
            f"The rows need a column `day` (YYYY-MM-DD) and each column once, not {list(frame.columns)}."
        )
    frame = frame if _is_numbered(frame.index) else frame.reset_index(drop=True)
    keys = sorted({day.isoformat() for day in days})
    typed, outcomes = _typed(frame, columns)
    refused = _Refused(len(frame))
    refused.note(outcomes)
    checks = expectations.of_rows([column for column in columns if column.name in typed], key)
    checks += expectations.of_table(key, keys) if set(key) <= set(typed.columns) else []
    found = _put(refused.leave(typed), checks)
    refused.note(found)
    outcomes += found
    accepted = refused.leave(typed)
    outcomes += _put(
        _per_day(frame["day"], refused.mask, keys), expectations.of_days(volume, quarantine_limit)
    )
    results = tuple(_result(one, outcome) for one, outcome in outcomes)
    return Report(
        passed=not any(result.blocking for result in results),
        rows=len(frame),
        results=results,
        accepted=accepted,
        quarantined=frame[refused.mask].assign(reasons=refused.reasons()),
        evidence=tuple(outcome for _, outcome in outcomes),
    )


class _Refused:
    """The rows that broke a critical promise, and which."""

    def __init__(self, rows: int) -> None:
        self.mask = np.zeros(rows, dtype=bool)
        self.complaints: dict[int, list[str]] = defaultdict(list)

    def note(self, outcomes: list[Outcome]) -> None:
        for one, outcome in outcomes:
            rows = outcome.result.get("unexpected_index_list") or []
            if one.scope != OF_ROWS or _severity(outcome) != "critical" or not rows:
                continue
            self.mask[rows] = True
            for row in rows:
                self.complaints[row].append(one.complaint)

    def leave(self, frame: pd.DataFrame) -> pd.DataFrame:
        return frame[~self.mask] if self.mask.any() else frame

    def reasons(self) -> list[str]:
        return ["; ".join(self.complaints[int(row)]) for row in np.flatnonzero(self.mask)]


def _is_numbered(index: pd.Index[Any]) -> bool:
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _typed(frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[pd.DataFrame, list[Outcome]]:
    """Return the declared columns and `day` in one block per type, and what was missing or did not fit."""
    values, outcomes = {"day": frame["day"].astype(object)}, []
    for column in columns:
        if column.name not in frame.columns:
            missing = expectations.finding("expect_column_to_exist", column.name, success=False)
            outcomes.append((Check(None, OF_TABLE, f"there is no column {column.name}"), missing))
            continue
        values[column.name], misfits = schemas.conform(frame[column.name], column.dtype)
        rows = np.flatnonzero(misfits)
        result = {
            "element_count": len(frame),
            "unexpected_count": len(rows),
            "unexpected_percent": 100 * len(rows) / max(len(frame), 1),
            "partial_unexpected_list": [str(value) for value in frame[column.name].iloc[rows[:EXAMPLES]]],
            "unexpected_index_list": rows.tolist(),
        }
        of_type = expectations.finding(
            "expect_column_values_to_be_of_type",
            column.name,
            success=not rows.size,
            result=result,
            type_=column.dtype,
        )
        outcomes.append((Check(None, OF_ROWS, f"{column.name} is no {column.dtype}"), of_type))
    return pd.DataFrame(values), outcomes


def _put(frame: pd.DataFrame, checks: list[Check]) -> list[Outcome]:
    """Check everything once, and what failed again for the rows: naming every row is dear."""
    if frame.empty:
        return []  # Great Expectations passes almost anything of nothing; the volume has its say
    slow = {name: "float64" for name, dtype in frame.dtypes.items() if str(dtype) == "Int64"}
    plain = frame.astype(slow).copy() if slow else frame  # a copy has one block per type; they copy it often
    results = expectations.check(plain, checks)
    again = [
        position
        for position, result in enumerate(results)
        if not result.success and checks[position].scope != OF_TABLE and not expectations.exception(result)
    ]
    if again:
        named = expectations.check(plain, [checks[position] for position in again], complete=True)
        for position, result in zip(again, named, strict=True):
            results[position] = result
    return list(zip(checks, results, strict=True))


def _per_day(day: pd.Series[Any], refused: np.ndarray[Any, Any], keys: list[str]) -> pd.DataFrame:
    rows = day.value_counts().reindex(keys, fill_value=0)
    good = day[~refused].value_counts().reindex(keys, fill_value=0)
    share = ((rows - good) / rows.clip(lower=1)).astype(float)
    return pd.DataFrame({"rows_per_day": good, "refused_share_per_day": share}, index=keys)


def _severity(outcome: ExpectationValidationResult) -> str:
    return str(outcome.expectation_config.severity.value)


def _result(one: Check, outcome: ExpectationValidationResult) -> Result:
    unchecked = expectations.exception(outcome)
    success = bool(outcome.success) and unchecked is None
    severity = _severity(outcome)
    kwargs, details = outcome.expectation_config.kwargs, outcome.result
    examples = (details.get("partial_unexpected_list") or [])[:EXAMPLES]
    if one.scope == OF_DAYS:
        examples = [
            f"{day}: {value:g}"
            for day, value in zip(details.get("unexpected_index_list") or [], examples, strict=False)
        ]
    return Result(
        expectation=outcome.expectation_config.type,
        column=kwargs.get("column") or ", ".join(kwargs.get("column_list", ())),
        severity=severity,
        success=success,
        failed_rows=int(details.get("unexpected_count") or 0),
        examples=tuple(examples),
        message=""
        if success
        else f"{one.complaint} could not be checked: {unchecked}"
        if unchecked
        else one.complaint,
        blocking=bool(unchecked) or (not success and severity == "critical" and one.scope != OF_ROWS),
    )


def _sentence(result: Result) -> str:
    where = f"{result.expectation}({result.column})"
    examples = ", ".join(str(_plain(example)) for example in result.examples)
    return f"{where}: {result.message}" + (
        f" ({result.failed_rows:,} times, for example {examples})" if examples else ""
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
