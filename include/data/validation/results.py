"""Results of checks and of validations: which rows failed, whether that blocks, and what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from include.data.validation.batch import Batch, concat_batches
from include.data.validation.sentences import full_message, json_value, sentence
from include.errors import QualityFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    import pandas as pd

    from include.declarations import Severity

    Array = np.ndarray[Any, Any]

# Columns of the rejected rows: the names of the failed checks, and what is wrong.
FAILED = "_failed"
REASONS = "_reasons"
MAX_EXAMPLES = 3
# The keys of a result in the table `gate_result`: the view `gate_finding` reads them.
RECORDED_FIELDS = (
    "expectation",
    "column",
    "severity",
    "success",
    "failed_rows",
    "examples",
    "message",
    "blocking",
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """
    Result of one check.

    Attributes
    ----------
    expectation : str
        What was expected, in the vocabulary of Great Expectations: `expect_column_values_to_not_be_null`.
    column : str
        Checked column, or columns, or measured quantity.
    failed_rows : int
        Number of rows, or of partitions, that failed.
    message : str
        What is wrong; empty if the check passed.
    blocking : bool
        Whether the failure rejects all rows.
    parameters : mapping of str to object
        Limits of the check.
    checked_rows : int or None
        Number of values that were checked, if the check counts them.
    observed : object
        Measured value, if the check compares one.
    row_numbers : numpy.ndarray or None
        int64 (failed_rows,): numbers of the rows that failed, if they can be rejected one by one.
    example_rows : tuple of int
        Numbers of the rows of the examples, from 0; empty if the check is not of single rows.
    error : str
        Why the check could not be run; empty if it was run.
    causes : mapping of str to int
        Number of failed rows by the cause of their failure, where causes are told apart.
    row_causes : tuple of str
        Cause (failed_rows,) of each failed row, in the order of `row_numbers`; empty without causes.
    """

    expectation: str
    column: str
    severity: str
    success: bool
    failed_rows: int
    examples: tuple[Any, ...]
    message: str
    blocking: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    checked_rows: int | None = None
    observed: Any = None
    row_numbers: Array | None = field(default=None, repr=False, compare=False)
    example_rows: tuple[int, ...] = ()
    error: str = ""
    causes: Mapping[str, int] = field(default_factory=dict)
    row_causes: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def name(self) -> str:
        """The expectation with its column."""
        return f"{self.expectation}({self.column})"

    def blocking_if_critical(self) -> CheckResult:
        """Return the result as one that blocks if it is a critical failure."""
        return replace(self, blocking=self.blocking or (not self.success and self.severity == "critical"))

    def as_json(self) -> dict[str, Any]:
        """Return the recorded fields as plain JSON."""
        record = {name: getattr(self, name) for name in RECORDED_FIELDS}
        examples = [json_value(example) for example in self.examples]
        return record | {"examples": examples, "message": full_message(self)}


class Check(Protocol):
    """A rule that each row of a batch must satisfy; the results of several batches are merged."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the result, or None if the batch has nothing that the rule could be applied to."""


def row_result(
    expectation: str,
    column: str,
    failed_values: pd.Series[Any],
    *,
    message: str,
    checked_rows: int,
    severity: Severity = "critical",
    parameters: Mapping[str, Any] | None = None,
) -> CheckResult:
    """Return the result of a check of single rows; the index of `failed_values` numbers the rows."""
    success = failed_values.empty
    row_numbers = failed_values.index.to_numpy()
    return CheckResult(
        expectation=expectation,
        column=column,
        severity=severity,
        success=success,
        failed_rows=len(failed_values),
        examples=tuple(_example(value) for value in failed_values.iloc[:MAX_EXAMPLES]),
        message="" if success else message,
        parameters=parameters or {},
        checked_rows=checked_rows,
        row_numbers=row_numbers,
        example_rows=tuple(row_numbers[:MAX_EXAMPLES].tolist()),
    )


def _example(value: Any) -> Any:
    return value if isinstance(value, int | float) else str(value)


def merge_results(parts: Iterable[Sequence[CheckResult]]) -> list[CheckResult]:
    """Return the results of all batches, one for each check, from those of each batch."""
    merged: dict[tuple[str, str, str], CheckResult] = {}
    for results in parts:
        for result in results:
            check = (result.expectation, result.column, repr(result.parameters))
            earlier = merged.get(check)
            bounded = replace(result, row_numbers=None, row_causes=())
            merged[check] = bounded if earlier is None else _merge_pair(earlier, bounded)
    return list(merged.values())


def _merge_pair(first: CheckResult, second: CheckResult) -> CheckResult:
    counts = [count for count in (first.checked_rows, second.checked_rows) if count is not None]
    return replace(
        first,
        success=first.success and second.success,
        failed_rows=first.failed_rows + second.failed_rows,
        examples=(*first.examples, *second.examples)[:MAX_EXAMPLES],
        example_rows=(*first.example_rows, *second.example_rows)[:MAX_EXAMPLES],
        message=first.message or second.message,
        blocking=first.blocking or second.blocking,
        checked_rows=sum(counts) if counts else None,
        error=first.error or second.error,
        causes=dict(Counter(first.causes) + Counter(second.causes)),
    )


def partition_result(
    expectation: str,
    column: str,
    failed: Sequence[tuple[str, Any]],
    *,
    message: str,
    severity: Severity = "critical",
    parameters: Mapping[str, Any] | None = None,
    observed: Any = None,
) -> CheckResult:
    """Return the result of a check of partitions; `failed` holds partition names with a value of each."""
    success = not failed
    return CheckResult(
        expectation=expectation,
        column=column,
        severity=severity,
        success=success,
        failed_rows=len(failed),
        examples=tuple(f"{name}: {_format_value(value)}" for name, value in failed[:MAX_EXAMPLES]),
        message="" if success else message,
        blocking=not success and severity == "critical",
        parameters=parameters or {},
        observed=observed,
    )


@dataclass(frozen=True)
class ValidationResult:
    """Results of all checks of `rows` rows; `passed` is False if one of them blocks."""

    passed: bool
    rows: int
    results: tuple[CheckResult, ...]

    @property
    def rejected(self) -> int:
        """Number of rows in quarantine."""
        return 0

    @property
    def failed(self) -> dict[str, list[str]]:
        """Names of the failed checks by severity."""
        names: dict[str, list[str]] = {}
        for result in self.results:
            if not result.success:
                names.setdefault(result.severity, []).append(result.name)
        return names

    def as_json(self) -> dict[str, Any]:
        """Return all results as plain JSON; a number that is not finite becomes text."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "quarantined": self.rejected,
            "results": [result.as_json() for result in self.results],
        }

    def figures(self) -> dict[str, Any]:
        """Return the numbers of rows and of quarantined rows, and the failed checks, for later tasks."""
        return {"rows": self.rows, "quarantined": self.rejected, "failed": self.failed}

    def remarks(self) -> list[str]:
        """Return a sentence for each failure that does not block."""
        return [
            f"{result.severity}: {sentence(result)}"
            for result in self.results
            if not (result.success or result.blocking)
        ]

    def raise_if_failed(self, subject: str, *, remedy: str = "") -> None:
        """
        Raise QualityFailed if a check blocks.

        Parameters
        ----------
        subject
            What was checked.
        remedy
            What to do, as sentences; by default what is to be done about data that is sent.

        Raises
        ------
        QualityFailed
            With the failed checks, the number of rows, examples and the remedy.
        """
        if self.passed:
            return
        blocking = [result for result in self.results if result.blocking]
        causes = [
            result
            for result in self.results
            if not (result.success or result.blocking) and result.severity == "critical"
        ]
        # What is wrong with single rows is why there are too few of them.
        failures = "; ".join(sentence(result) for result in (*causes, *blocking))
        raise QualityFailed(f"{subject}: {self._verdict()} {failures}. {remedy or self._remedy()}")

    def _verdict(self) -> str:
        return f"{self.rows:,} rows did not pass."

    def _remedy(self) -> str:
        return "Have the data corrected and clear this task, or correct the expectation if the data is right."


@dataclass(frozen=True)
class PartitionReport(ValidationResult):
    """
    Results of the checks of some partitions.

    Attributes
    ----------
    accepted_rows : int
        Number of accepted rows.
    accepted_batches : tuple of Batch
        Accepted rows: the partition columns and the declared columns in their types. Empty if they were
        written elsewhere.
    rejected_batch : Batch
        Rejected rows with the raw values that do not fit, the names of the failed checks and the reasons.
    """

    accepted_rows: int
    accepted_batches: tuple[Batch, ...] = field(repr=False)
    rejected_batch: Batch = field(repr=False)

    @property
    def accepted(self) -> pd.DataFrame:
        """Accepted rows, unless they were written elsewhere."""
        return concat_batches(self.accepted_batches).frame

    @property
    def quarantined(self) -> pd.DataFrame:
        """Rejected rows."""
        return self.rejected_batch.frame

    @property
    def rejected(self) -> int:
        """Number of rows in quarantine."""
        return self.rejected_batch.n_rows

    def as_json(self) -> dict[str, Any]:
        """Return all results, and the number of accepted rows, as plain JSON."""
        return super().as_json() | {"accepted": self.accepted_rows}

    def _verdict(self) -> str:
        return f"refused {self.rows:,} rows, nothing was published."

    def _remedy(self) -> str:
        return (
            "Have the source corrected and run the partition again, "
            "or correct the declaration if the data is right."
        )


def passed(results: Sequence[CheckResult]) -> bool:
    """Return whether no result blocks."""
    return not any(result.blocking for result in results)


def _format_value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
