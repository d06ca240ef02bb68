"""What a gate found: one result per expectation, whether it blocks, and a sentence for a person."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from great_expectations.core import ExpectationValidationResult

from include.data.validation import expectations
from include.data.validation.expectations import OF_DAYS, OF_ROWS, Check
from include.errors import QualityFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

Outcome = tuple[Check, ExpectationValidationResult]

EXAMPLES = 3
LONGEST = 120  # letters of an example


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one expectation; a failure that is `blocking` refuses everything."""

    expectation: str
    column: str
    severity: str
    success: bool
    failed_rows: int
    examples: tuple[Any, ...]
    message: str
    blocking: bool = False

    @property
    def name(self) -> str:
        """The expectation with its column, as people name it."""
        return f"{self.expectation}({self.column})"


@dataclass(frozen=True)
class ValidationResult:
    """What was found among `rows` rows; `evidence` is what Great Expectations draws its page from."""

    passed: bool
    rows: int
    results: tuple[CheckResult, ...]
    evidence: tuple[ExpectationValidationResult, ...] = field(repr=False, default=())

    @property
    def refused(self) -> int:
        """How many rows wait in the quarantine."""
        return 0

    @property
    def failed(self) -> dict[str, list[str]]:
        """The names of the expectations that failed, by severity."""
        found: dict[str, list[str]] = {}
        for result in self.results:
            if not result.success:
                found.setdefault(result.severity, []).append(result.name)
        return found

    def page(self, name: str = "quality") -> str:
        """Return the evidence as a page of HTML."""
        return expectations.data_docs_page(self.evidence, passed=self.passed, name=name)

    def as_json(self) -> dict[str, Any]:
        """Return what was found as plain JSON: numbers that are none become text."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "quarantined": self.refused,
            "results": [
                asdict(result) | {"examples": [json_value(example) for example in result.examples]}
                for result in self.results
            ],
        }

    def figures(self) -> dict[str, Any]:
        """Return what the next tasks may want to know."""
        return {"rows": self.rows, "quarantined": self.refused, "failed": self.failed}

    def remarks(self) -> list[str]:
        """Return a sentence for each failure that does not block."""
        return [
            f"{result.severity}: {sentence(result)}"
            for result in self.results
            if not (result.success or result.blocking)
        ]

    def raise_if_failed(self, subject: str) -> None:
        """
        Do nothing if nothing blocks.

        :raises QualityFailed: naming what failed, on how many rows, for example which, and what to do
        """
        if self.passed:
            return
        blocking = [result for result in self.results if result.blocking]
        causes = [
            result
            for result in self.results
            if not (result.success or result.blocking) and result.severity == "critical"
        ]
        found = "; ".join(sentence(result) for result in (*blocking, *causes))
        raise QualityFailed(f"{subject}: {self._verdict()} {found}. {self._remedy()}")

    def _verdict(self) -> str:
        return f"{self.rows:,} rows did not pass."

    def _remedy(self) -> str:
        return "Have the data corrected and clear this task, or correct the expectation if the data is right."


def to_check_result(one: Check, outcome: ExpectationValidationResult) -> CheckResult:
    """Return what became of one expectation: what could not be checked has failed, and blocks."""
    unchecked = expectations.exception(outcome)
    success = bool(outcome.success) and unchecked is None
    severity = severity_of(outcome)
    kwargs, details = outcome.expectation_config.kwargs, outcome.result
    examples = (details.get("partial_unexpected_list") or [])[:EXAMPLES]
    if one.scope == OF_DAYS and details.get("unexpected_index_list"):
        examples = [
            f"{day}: {value:g}" if isinstance(value, float | int) else f"{day}: {value}"
            for day, value in zip(details["unexpected_index_list"], examples, strict=False)
        ]
    message = f"{one.failure_message} could not be checked: {unchecked}" if unchecked else one.failure_message
    return CheckResult(
        expectation=outcome.expectation_config.type,
        column=kwargs.get("column") or ", ".join(kwargs.get("column_list", ())),
        severity=severity,
        success=success,
        failed_rows=int(details.get("unexpected_count") or 0),
        examples=tuple(examples),
        message="" if success else message,
        blocking=bool(unchecked) or (not success and severity == "critical" and one.scope != OF_ROWS),
    )


def severity_of(outcome: ExpectationValidationResult) -> str:
    """Return what a failure of the expectation means: critical, warning or info."""
    return str(outcome.expectation_config.severity.value)


def sentence(result: CheckResult) -> str:
    """Return the failure with the number of rows and three examples."""
    examples = ", ".join(str(json_value(example)) for example in result.examples)
    return f"{result.name}: {result.message}" + (
        f" ({result.failed_rows:,} times, for example {examples})" if examples else ""
    )


def json_value(value: Any) -> Any:
    """Return a value that JSON can hold, and a page can show."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float | bool | None):
        return value
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def passed(results: Sequence[CheckResult]) -> bool:
    """Return whether nothing blocks."""
    return not any(result.blocking for result in results)
