"""Sentences about failed checks: what is wrong, why, in how many rows, with examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from include.data.reading.raw import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_EXAMPLE_LENGTH = 120
MAX_CAUSES = 5


class Failure(Protocol):
    """Part of a check's result that its sentence is made of."""

    @property
    def name(self) -> str:
        """The expectation with its column."""

    @property
    def message(self) -> str:
        """What is wrong."""

    @property
    def failed_rows(self) -> int:
        """Number of rows that failed."""

    @property
    def examples(self) -> tuple[Any, ...]:
        """Some of their values."""

    @property
    def example_rows(self) -> tuple[int, ...]:
        """Numbers of their rows, from 0."""

    @property
    def causes(self) -> Mapping[str, int]:
        """Number of failed rows by cause."""


def full_message(result: Failure) -> str:
    """Return what is wrong with the causes, the most frequent one first, each with its number of rows."""
    if not result.causes:
        return result.message
    by_rows = sorted(result.causes.items(), key=lambda cause: -cause[1])
    if len(by_rows) == 1:
        return f"{result.message}: it is {by_rows[0][0]}"
    causes = "; ".join(f"in {rows:,} rows it is {cause}" for cause, rows in by_rows[:MAX_CAUSES])
    return f"{result.message}: {causes}"


def sentence(result: Failure) -> str:
    """Return the failure with the number of rows and examples."""
    text = f"{result.name}: {full_message(result)}"
    if not result.examples:
        return text
    examples = [str(json_value(example)) for example in result.examples]
    for position, number in enumerate(result.example_rows):
        examples[position] += f" in row {number + 1:,}"
    return f"{text} ({result.failed_rows:,} times, for example {', '.join(examples)})"


def json_value(value: Any) -> Any:
    """Return the value if JSON has it, else its text, shortened."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float | bool | None):
        return value
    text = escape(str(value))
    return text if len(text) <= MAX_EXAMPLE_LENGTH else f"{text[:MAX_EXAMPLE_LENGTH]}…"
