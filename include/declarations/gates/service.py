"""Gates on what a candidate costs to run and is worth, and whether callers can go on as before."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.gates.base import Gate, JudgedUseCase

Limit = Annotated[float, Field(gt=0)]


class Budget(Gate):
    """
    A fresh process answers one row within `maximum_latency_ms` (99th percentile), and the model's files and
    the memory they take stay below their limits; the ratios are to the champion, measured beside it.
    """

    kind: Literal["budget"] = "budget"
    maximum_latency_ms: Limit | None = None
    maximum_size_mb: Limit | None = None
    maximum_memory_mb: Limit | None = None
    maximum_latency_ratio: Limit | None = None
    maximum_size_ratio: Limit | None = None
    maximum_memory_ratio: Limit | None = None

    @property
    def compares(self) -> bool:
        """Whether the champion has to be measured too."""
        return any((self.maximum_latency_ratio, self.maximum_size_ratio, self.maximum_memory_ratio))

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        limits = (self.maximum_latency_ms, self.maximum_size_mb, self.maximum_memory_mb)
        if not self.compares and not any(limits):
            raise ValueError("give at least one limit, or the gate can never fire")
        return self


class SignatureCompatibility(Gate):
    """
    Whatever callers send to the champion is valid for the candidate too.

    This gate always stands and blocks; declare it to give it another severity while callers move on.
    """

    kind: Literal["signature"] = "signature"


class BusinessValue(Gate):
    """
    The candidate saves at least `minimum_per_thousand` of the owner's currency on a thousand rows, with
    `confidence`, against the better of the naive forecast and of doing without any model.
    """

    kind: Literal["business_value"] = "business_value"
    minimum_per_thousand: float = 0.0
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    def check(self, use_case: JudgedUseCase) -> None:
        """Refuse a use case that does not say what a wrong prediction costs."""
        if use_case.cost is None:
            raise ValueError("business_value: declare the use case's cost, there is nothing to value with")
