"""What a candidate must show before it may carry passengers."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from include.declarations.base import Declaration

Task = Literal["classification", "regression"]
Metric = Literal["roc_auc", "average_precision", "log_loss", "brier", "rmse", "mae", "r2"]

METRICS: dict[Task, frozenset[Metric]] = {
    "classification": frozenset({"roc_auc", "average_precision", "log_loss", "brier"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
}
GREATER_IS_BETTER: frozenset[Metric] = frozenset({"roc_auc", "average_precision", "r2"})


class Gate(Declaration):
    """What a candidate must show; `block` stops it, `warn` is written on its certificate."""

    severity: Literal["block", "warn", "info"] = "block"


class Threshold(Gate):
    """A metric on the test rows is at least `minimum`, at most `maximum`."""

    kind: Literal["threshold"] = "threshold"
    metric: Metric
    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give a minimum or a maximum, or the gate can never fire")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}: nothing can pass")
        if self.metric in {"roc_auc", "average_precision", "r2"} and (self.minimum or 0) > 1:
            raise ValueError(f"{self.metric} is never above 1, minimum {self.minimum} is impossible")
        if self.metric != "r2" and self.maximum is not None and self.maximum < 0:
            raise ValueError(f"{self.metric} is never below 0, maximum {self.maximum} is impossible")
        return self


class Improvement(Gate):
    """
    The challenger is better than the champion on the same unseen rows by `minimum_gain`, with `confidence`.

    Every attempt since the last promotion adds `price_per_attempt` to the gain that is asked for.
    """

    kind: Literal["improvement"] = "improvement"
    metric: Metric
    minimum_gain: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    price_per_attempt: float = Field(default=0.0, ge=0)


class Overfitting(Gate):
    """The metric on the training rows is not better than on the test rows by more than `maximum_gap`."""

    kind: Literal["overfitting"] = "overfitting"
    metric: Metric
    maximum_gap: float = Field(gt=0)


AnyGate = Annotated[Threshold | Improvement | Overfitting, Field(discriminator="kind")]
