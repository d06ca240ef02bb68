"""Gates on metrics: bounds, gain on the champion, overfitting and calibration."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from include.declarations.gates.base import Gate, JudgedUseCase
from include.declarations.metrics import (
    Metric,
    baseline_quantile,
    bounds_of,
    is_greater_better,
    largest_error,
)


class _MetricGate(Gate):
    metric: Metric

    @property
    def name(self) -> str:
        """Kind and metric."""
        return f"{self.kind}_{self.metric}"

    @property
    def required_metrics(self) -> tuple[Metric, ...]:
        """Metric of the gate."""
        return (self.metric,)

    @model_validator(mode="after")
    def _has_reachable_limits(self) -> Self:
        self._require_limits(*bounds_of(self.metric))
        return self

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if a limit is never reached by predictions in the range of the use case."""
        self._require_limits(*bounds_of(self.metric, use_case.prediction_range))

    def _require_limits(self, lowest: float, highest: float) -> None:
        """Raise ValueError if no value of the metric, from `lowest` to `highest`, passes or none fails."""


class Threshold(_MetricGate):
    """A metric on the test rows is at least `minimum`, at most `maximum`."""

    kind: Literal["threshold"] = "threshold"
    minimum: float | None = None
    maximum: float | None = None

    def _require_limits(self, lowest: float, highest: float) -> None:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give a minimum or a maximum, or the gate can never fire")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}: nothing can pass")
        if self.minimum is not None and self.minimum > highest:
            raise ValueError(
                f"{self.metric} is never above {highest:g}, minimum {self.minimum} is impossible"
            )
        if self.maximum is not None and self.maximum < lowest:
            raise ValueError(f"{self.metric} is never below {lowest:g}, maximum {self.maximum} is impossible")
        self._require_direction()
        bounds = {"minimum": self.minimum, "maximum": self.maximum}
        declared = ", ".join(f"{name}={bound:g}" for name, bound in bounds.items() if bound is not None)
        minimum = lowest if self.minimum is None else self.minimum
        maximum = highest if self.maximum is None else self.maximum
        can_fire = minimum > lowest or maximum < highest
        if not can_fire:
            raise ValueError(
                f"{declared}: {self.metric} is from {lowest:g} to {highest:g}, so the gate can never fire: "
                "declare a narrower bound"
            )

    def _require_direction(self) -> None:
        """Raise ValueError if only bad models pass."""
        if is_greater_better(self.metric) and self.minimum is None:
            raise ValueError(
                f"{self.metric} is better the greater it is, so maximum={self.maximum:g} alone would refuse "
                "only good models; declare a minimum"
            )
        if not is_greater_better(self.metric) and self.maximum is None:
            raise ValueError(
                f"{self.metric} is better the smaller it is, so minimum={self.minimum:g} alone would refuse "
                "only good models; declare a maximum"
            )


class Improvement(_MetricGate):
    """
    The challenger is better than the champion on the same unseen rows by `minimum_gain`, with `confidence`.

    A gain of zero is none. The confidence comes from a bootstrap of the test days, and is that of all
    attempts since the last promotion together: each failed one makes the next one need more. A challenger
    that is worse on these rows is refused (`worse="refuse"`), or a person is asked about it unless it
    certainly is (`"ask"`).
    """

    kind: Literal["improvement"] = "improvement"
    minimum_gain: float = Field(default=0.0, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    worse: Literal["refuse", "ask"] = "refuse"

    def _require_limits(self, lowest: float, highest: float) -> None:
        if self.minimum_gain >= highest - lowest:
            raise ValueError(
                f"no two values of {self.metric} differ by more than {highest - lowest:g}, so a gain of "
                f"{self.minimum_gain:g} is impossible: declare a smaller minimum_gain"
            )


class NonInferiority(_MetricGate):
    """
    The challenger is not worse than the champion on the same unseen rows, up to a margin.

    It passes if the lower bound of its gain, with `confidence`, is above minus `margin`, a part of the
    champion's value of the metric. Otherwise it is refused if it loses more than the margin on these rows, or
    if it is certainly worse; a smaller loss may be chance, and is inconclusive. The lower bound is that of
    all attempts since the last promotion together.
    """

    kind: Literal["non_inferiority"] = "non_inferiority"
    margin: float = Field(default=0.02, gt=0, lt=1)
    confidence: float = Field(default=0.9, gt=0.5, lt=1)


class Overfitting(_MetricGate):
    """The metric on the training rows is not better than on the test rows by more than `maximum_gap`."""

    kind: Literal["overfitting"] = "overfitting"
    maximum_gap: float = Field(gt=0)

    def _require_limits(self, lowest: float, highest: float) -> None:
        if self.maximum_gap >= highest - lowest:
            raise ValueError(
                f"maximum_gap={self.maximum_gap:g}: no two values of {self.metric} differ by more than "
                f"{highest - lowest:g}, so the gate can never fire: declare a smaller maximum_gap"
            )


class Calibration(Gate):
    """
    Among the rows with a predicted probability, about that share is positive: the expected calibration error
    over `bins` of equally many rows is at most `maximum_error`.

    Of several classes, it is that of the most probable class. Of a regression, it compares the mean
    prediction with the mean target, as a part of the standard deviation of the training target. Of few rows,
    the bins are fewer. The verdict is inconclusive if the error is above it, but its lower bound with
    `confidence` is not.
    """

    kind: Literal["calibration"] = "calibration"
    maximum_error: float = Field(gt=0, le=1)
    bins: int = Field(default=10, ge=2, le=50)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the model predicts no probability and no mean, or no error is too large."""
        if use_case.task == "regression" and baseline_quantile(use_case.metric) is not None:
            raise ValueError(
                f"calibration: a model that is judged by {use_case.metric} predicts a median or quantile, "
                "and the gate compares means"
            )
        largest = largest_error(use_case.prediction_range)
        if use_case.task != "regression" and self.maximum_error >= largest:
            raise ValueError(
                f"calibration: maximum_error={self.maximum_error:g}: the error of a probability is at most "
                f"{largest:g}, so the gate can never fire: declare a smaller maximum_error"
            )
