"""Rollout of a challenger: steps, waiting times and limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration, Environment, Share


class Rollout(Declaration):
    """
    Rollout of a challenger: a shadow step, then rising shares of the traffic.

    `steps` are the shares in percent; `shadow_share` is the share (0 to 1) of the champion's requests that
    the challenger answers in the shadow step, unseen by callers. Each step lasts at least `bake` and is
    judged once both models have answered `minimum_requests` requests; if that takes longer than `patience`,
    the rollout fails. The challenger is rolled back if more than `maximum_error_rate` of its requests fail,
    if its latency is more than `maximum_latency_ratio` times the champion's, or if the predictions on the
    same requests differ by more than `maximum_prediction_shift` of their range on average. In the
    environments of `approval` a person approves the release first.
    """

    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (2, 25, 75, 100)
    shadow_share: Share = 1.0
    bake: Duration = timedelta(minutes=10)
    patience: Duration = timedelta(hours=2)
    minimum_requests: int = Field(default=200, ge=1)
    maximum_error_rate: Share = 0.01
    maximum_latency_ratio: float = Field(default=2.0, gt=1)
    maximum_prediction_shift: Share = 0.25
    approval: tuple[Environment, ...] = ("uat", "prod")

    @model_validator(mode="after")
    def _ends_at_full_weight(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1:] != (100,):
            raise ValueError(f"steps must rise and end at 100, not {self.steps}")
        if self.patience <= self.bake:
            raise ValueError(
                f"patience {self.patience} must be above bake {self.bake}, or every step would time out"
            )
        if not self.shadow_share:
            raise ValueError("shadow_share: without requests the shadow step would never be judged")
        return self
