"""Gates on the cost of running a candidate, its value, and its compatibility with callers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.gates.base import Gate, JudgedUseCase

Limit = Annotated[float, Field(gt=0)]


class Budget(Gate):
    """
    An isolated process predicts one row within `maximum_latency_ms` (99th percentile), and the size of the
    model's files and the memory of the process stay within their limits.

    The ratios are to the champion, which is measured in the same way.
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
        """Whether the champion is measured too."""
        return any((self.maximum_latency_ratio, self.maximum_size_ratio, self.maximum_memory_ratio))

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        limits = (self.maximum_latency_ms, self.maximum_size_mb, self.maximum_memory_mb)
        if not self.compares and not any(limits):
            raise ValueError("give at least one limit, or the gate can never fire")
        return self


class SignatureCompatibility(Gate):
    """
    Every request that is valid for the champion is valid for the candidate too.

    This gate is mandatory and blocks; declare it to give it another severity while callers migrate.
    """

    kind: Literal["signature"] = "signature"


class BusinessValue(Gate):
    """
    The candidate saves at least `minimum_per_thousand` of the owner's currency per 1,000 rows, with
    `confidence`, against the cheaper of the baseline and of no model.
    """

    kind: Literal["business_value"] = "business_value"
    minimum_per_thousand: float = 0.0
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError without a declared cost, or if the minimum can never be reached or missed."""
        if use_case.cost is None:
            raise ValueError("business_value: declare the cost of the use case, which gives the value")
        difference = use_case.cost.largest_difference
        if difference is None:
            return
        limit = 1000 * difference
        declared = f"business_value: minimum_per_thousand={self.minimum_per_thousand:g}"
        if self.minimum_per_thousand >= limit:
            raise ValueError(
                f"{declared}: two decisions about 1,000 rows differ by at most {limit:g}, so nothing can "
                "pass: declare a smaller minimum_per_thousand"
            )
        if self.minimum_per_thousand <= -limit:
            raise ValueError(
                f"{declared}: two decisions about 1,000 rows differ by at most {limit:g}, so the gate can "
                "never fire: declare a greater minimum_per_thousand"
            )
