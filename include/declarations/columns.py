"""Columns of datasets and feature views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from include.declarations.base import Declaration, Duration, Name, Severity, Share
from include.pseudonyms import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable


class Column(Declaration):
    """
    One column: its type and the values that are allowed.

    `minimum` and `maximum` are inclusive bounds; `allowed` lists the only values that a text may have. A
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
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    within: Duration | None = None
    severity: Severity = "critical"
    description: str = ""
    personal: bool = False

    @model_validator(mode="after")
    def _bounds_are_possible(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.maximum_nulls is not None and not self.nullable:
            raise ValueError(
                "maximum_nulls: the column is not nullable; declare nullable=True or remove maximum_nulls"
            )
        if self.within is not None and self.dtype != "timestamp":
            raise ValueError(f"within: needs a column of type timestamp, not {self.dtype}")
        return self


def personal_names(columns: Iterable[Column]) -> frozenset[str]:
    """Return the names of the personal columns."""
    return frozenset(column.name for column in columns if column.personal)


def shown_value(columns: Iterable[Column], name: str, value: object) -> str:
    """Return a value of the column `name` as a message shows it: `***` if the column is personal."""
    return MASK if name in personal_names(columns) else str(value)
