"""Rollout of a challenger: strategy, steps, waiting times and limits."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration, Duration, Environment, MaximumShare, Share

Strategy = Literal["canary", "blue_green", "direct", "batch_only"]
RolloutMetric = Literal[
    "failures",
    "refused",
    "latency_p50",
    "latency_p99",
    "prediction_shift",
    "constant_predictions",
    "prediction_distribution",
    "quality",
]


class Rollout(Declaration):
    """
    Rollout of a challenger: a shadow step, then rising shares of the traffic.

    `strategy` says which steps there are: `canary` all `steps`; `blue_green` all traffic at once after a test
    of the staged version, with the champion's server kept for the way back; `direct` the same without an
    analysis; `batch_only` no traffic at all, for models without callers.

    `steps` are the shares in percent; `shadow_share` is the share (0 to 1) of the champion's requests that
    the challenger answers in the shadow step, unseen by callers; 0 leaves the step out. With
    `count_mirrored`, copies are sent in the steps after it too, and count as requests of the challenger. With
    `replay`, so many of the newest logged requests are sent to the challenger at the start of the shadow
    step, and count in it.

    Each step lasts at least `bake` and is judged once the challenger has answered what the step can see in
    its bake time at the observed rate of requests: at least `fewest_requests`, at most `minimum_requests`. If
    it is still undecided after `patience`, a person is asked.

    The analysis compares the challenger with the champion by sequential tests. The probability that a
    challenger as good as the champion is rolled back is at most `false_alarm_rate` for the whole rollout. It
    is rolled back if there is evidence that more than `maximum_error_rate` of its requests fail and that
    these are more than `maximum_failure_ratio` times the champion's (ratio of odds), that its latency is more
    than `maximum_latency_ratio` times the champion's, that the predictions for the same requests differ by
    more than `maximum_prediction_shift` of their range on average, that it always predicts the same, or, by
    the labels that land meanwhile, that its loss is more than `maximum_loss_increase` above the champion's. A
    metric in `advisory` never stops a rollout; `prediction_distribution` has a difference of practical
    importance from `maximum_distribution_shift` on (Kolmogorov's distance).

    In the environments of `approval` a person approves the release first.

    `approvers` are the users of Airflow that may approve it, by default all that may edit its runs. The
    person who requested a release may not approve it. Without an answer it is rejected after
    `approval_timeout`.

    After `freeze_after` rollbacks within `freeze_window`, releases are frozen until a person lifts it.
    """

    strategy: Strategy = "canary"
    steps: tuple[Annotated[int, Field(gt=0, le=100)], ...] = (2, 25, 75, 100)
    shadow_share: Share = 1.0
    count_mirrored: bool = False
    replay: int = Field(default=0, ge=0, le=5_000)
    bake: Duration = timedelta(minutes=10)
    patience: Duration = timedelta(hours=2)
    minimum_requests: int = Field(default=200, ge=1)
    fewest_requests: int = Field(default=20, ge=1)
    false_alarm_rate: float = Field(default=0.01, gt=0, lt=0.5)
    maximum_error_rate: MaximumShare = 0.01
    maximum_failure_ratio: float = Field(default=1.25, ge=1)
    maximum_latency_ratio: float = Field(default=2.0, gt=1)
    maximum_prediction_shift: MaximumShare = 0.25
    maximum_distribution_shift: MaximumShare = 0.1
    maximum_loss_increase: MaximumShare = 0.02
    advisory: tuple[RolloutMetric, ...] = ("prediction_distribution",)
    approval: tuple[Environment, ...] = ("uat", "prod")
    approvers: tuple[str, ...] = ()
    approval_timeout: Duration = timedelta(days=1)
    freeze_after: int = Field(default=3, ge=1)
    freeze_window: Duration = timedelta(days=7)

    @model_validator(mode="after")
    def _ends_at_full_weight(self) -> Self:
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1:] != (100,):
            raise ValueError(f"steps must rise and end at 100, not {self.steps}")
        if self.patience <= self.bake:
            raise ValueError(
                f"patience {self.patience} must be above bake {self.bake}, or every step would time out"
            )
        if not self.shadow_share and self.count_mirrored:
            raise ValueError("count_mirrored: shadow_share is 0, so that there are no copies to count")
        if not self.shadow_share and self.replay:
            raise ValueError("replay: shadow_share is 0, so that there is no shadow step to replay in")
        return self
