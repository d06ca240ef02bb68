"""Columns of datasets and feature views."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Literal, Self

from pydantic import StrictFloat, StrictInt, StrictStr, model_validator

from include.declarations.base import Declaration, Duration, Name, Severity, Share
from include.pseudonyms import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# Types of the values that a column may be limited to, by its type.
ALLOWED_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}
NUMERIC = frozenset({"integer", "number"})
INTEGER_LIMIT = 2**63


class Column(Declaration):
    """
    One column: its type and the values that are allowed.

    `minimum` and `maximum` are inclusive bounds of a number; `allowed` lists the only values that a text, an
    integer or a number may have. A
    `nullable` column may be null in at most the share `maximum_nulls` (0 to 1) of a partition's rows; without
    it, a partition fails only if all of its rows are null. A timestamp lies at most `within` before the start
    or after the end of its partition. `severity` says what a row that breaks a rule means: it is rejected
    (`critical`), or reported (`warning`, `info`).

    `description` is shown in the catalogue. The values of a `personal` column, which describe or identify a
    person, are masked wherever people read them, and are never logged as they are.
    """

    name: Name
    dtype: Literal["string", "integer", "number", "boolean", "timestamp"]
    nullable: bool = False
    maximum_nulls: Share | None = None
    minimum: StrictInt | float | None = None
    maximum: StrictInt | float | None = None
    allowed: tuple[StrictInt | StrictFloat | StrictStr, ...] | None = None
    within: Duration | None = None
    severity: Severity = "critical"
    description: str = ""
    personal: bool = False

    @model_validator(mode="after")
    def _bounds_are_possible(self) -> Self:
        problems = [*self._bound_problems(), *self._allowed_problems()]
        if self.maximum_nulls is not None and not self.nullable:
            problems.append(
                "maximum_nulls: the column is not nullable; declare nullable=True or remove maximum_nulls"
            )
        if self.within is not None and self.dtype != "timestamp":
            problems.append(f"within: needs a column of type timestamp, not {self.dtype}")
        if problems:
            raise ValueError(f"{self.name}: {'; '.join(problems)}")
        return self

    def _bound_problems(self) -> Iterator[str]:
        """Yield why no value of the column's type can keep its bounds."""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if self.dtype not in NUMERIC:
            if self.minimum is not None or self.maximum is not None:
                yield f"minimum, maximum: a {self.dtype} has no bounds; remove them, or declare a number"
        elif low > high:
            yield f"minimum {low} is above maximum {high}"
        elif self.dtype == "number" and any(
            _exceeds_doubles(bound) for bound in (self.minimum, self.maximum)
        ):
            yield "minimum, maximum: a number is at most 1.8e308; remove the bound"
        elif self.dtype == "integer" and not _includes_integer(low, high):
            yield f"minimum, maximum: there is no integer from {low} to {high}"

    def _allowed_problems(self) -> Iterator[str]:
        """Yield why no value of the column's type can be one of `allowed`."""
        if self.allowed is None:
            return
        types = ALLOWED_TYPES.get(self.dtype, ())
        if not types:
            yield f"allowed: a {self.dtype} cannot be limited to a set of values; remove it"
        elif not self.allowed:
            yield "allowed: it is empty, so every row would be rejected; name the values, or remove it"
        wrong = [repr(value) for value in self.allowed if types and type(value) not in types]
        if wrong:
            yield f"allowed: {', '.join(wrong)} is no {self.dtype}, which the column is"
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        numbers = [value for value in self.allowed if not isinstance(value, str)]
        outside = [str(value) for value in numbers if not low <= value <= high]
        if outside and not wrong:
            yield f"allowed: {', '.join(outside)} is outside of minimum and maximum"
        impossible = [repr(value) for value in self.allowed if not _may_occur(value, self.dtype)]
        if impossible and not wrong:
            yield f"allowed: no row has {', '.join(impossible)}, which the reader takes for null or refuses"


def _may_occur(value: float | str, dtype: str) -> bool:
    """Return whether a value of the type may be in a column."""
    if isinstance(value, str):
        # An empty text is null; U+0000 and half a surrogate pair are refused.
        return bool(value) and not any(_is_refused(letter) for letter in value)
    if dtype == "integer":
        return -INTEGER_LIMIT <= value < INTEGER_LIMIT
    return not _exceeds_doubles(value)


def _is_refused(letter: str) -> bool:
    return letter == "\0" or "\ud800" <= letter <= "\udfff"


def _exceeds_doubles(bound: float | None) -> bool:
    """Return whether a bound is an integer that no double reaches."""
    return bound is not None and abs(bound) > sys.float_info.max


def _includes_integer(low: float, high: float) -> bool:
    """Return whether an integer of 64 bits lies within the bounds."""
    first = math.ceil(low) if math.isfinite(low) else -INTEGER_LIMIT
    last = math.floor(high) if math.isfinite(high) else INTEGER_LIMIT - 1
    return max(first, -INTEGER_LIMIT) <= min(last, INTEGER_LIMIT - 1)


def personal_names(columns: Iterable[Column]) -> frozenset[str]:
    """Return the names of the personal columns."""
    return frozenset(column.name for column in columns if column.personal)


def shown_value(columns: Iterable[Column], name: str, value: object) -> str:
    """Return a value of the column `name` as a message shows it: `***` if the column is personal."""
    return MASK if name in personal_names(columns) else str(value)
