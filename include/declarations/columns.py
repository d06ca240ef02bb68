"""A column of a dataset or a feature view."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from include.declarations.base import Declaration, Duration, Name, Severity, Share


class Column(Declaration):
    """
    One column: its type, and what its values may be.

    A `nullable` column may be null in at most `maximum_nulls` of a partition's rows; left out, not in all.
    A timestamp lies at most `within` before the start or after the end of its partition.
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

    @model_validator(mode="after")
    def _bounds_are_possible(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.maximum_nulls is not None and not self.nullable:
            raise ValueError("maximum_nulls: the column is not nullable, so none of its values may be null")
        if self.within is not None and self.dtype != "timestamp":
            raise ValueError(f"within: only a timestamp is near its partition, not a {self.dtype}")
        return self
