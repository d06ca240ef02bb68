"""A column of a dataset or a feature view."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from include.declarations.base import Declaration, Name, Severity


class Column(Declaration):
    """One column: its type, and what its values may be."""

    name: Name
    dtype: Literal["string", "integer", "number", "boolean", "timestamp"]
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    severity: Severity = "critical"

    @model_validator(mode="after")
    def _bounds_are_possible(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self
