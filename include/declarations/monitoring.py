"""What is watched while a model is in service, and what follows from it."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration, Share


class DriftPolicy(Declaration):
    """When the distribution of the inputs counts as drifted."""

    columns_share: Share = 0.5
    window_days: int = Field(default=7, ge=1)
    maximum_rows: int = Field(default=5_000, ge=100, le=100_000)
    minimum_rows: int = Field(default=200, ge=1)


class RetrainPolicy(Declaration):
    """When signals become a retraining: `k` of the last `n` checks, and not sooner than `cooldown`."""

    k: int = Field(default=2, ge=1)
    n: int = Field(default=3, ge=1)
    cooldown: Duration = timedelta(days=1)
    budget_per_month: int = Field(default=8, ge=0)

    @model_validator(mode="after")
    def _can_fire(self) -> Self:
        if self.k > self.n:
            raise ValueError(f"k={self.k} of n={self.n} checks can never be reached")
        return self


class Slo(Declaration):
    """What callers were promised over `window_days`."""

    availability: Share = 0.999
    latency_p99_ms: float = Field(default=250.0, gt=0)
    window_days: int = Field(default=28, ge=1)
