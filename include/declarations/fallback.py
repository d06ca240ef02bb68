"""What callers of a model get while it is switched off."""

from __future__ import annotations

import json
from typing import Literal, Self

from pydantic import model_validator

from include.declarations.base import Declaration

FallbackKind = Literal["unavailable", "constant", "baseline", "previous"]


class Fallback(Declaration):
    """
    The answer to callers of a model that is switched off.

    `unavailable` answers 503 with the reason, `constant` predicts `value` for each row (of several classes
    one probability for each), `baseline` predicts the baseline by the columns of `baseline_by`, and
    `previous` lets the previous champion answer.
    """

    kind: FallbackKind = "unavailable"
    value: float | tuple[float, ...] | None = None

    @model_validator(mode="after")
    def _has_value_if_constant(self) -> Self:
        if (self.kind == "constant") != (self.value is not None):
            raise ValueError("fallback: a constant has a value, such as 'constant:0.2', and others have none")
        return self

    @classmethod
    def parse(cls, text: str) -> Fallback:
        """
        Return the fallback that a text such as `baseline` or `constant:0.2` names.

        Raises
        ------
        ValueError
            If it names none.
        """
        kind, _, value = text.partition(":")
        return cls.model_validate({"kind": kind, "value": json.loads(value) if value else None})

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"{self.kind}:{json.dumps(self.value)}" if self.kind == "constant" else self.kind
