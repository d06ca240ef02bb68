"""Base class of the gates, and the part of a use case that they are checked against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from include.declarations.base import Declaration

if TYPE_CHECKING:
    from include.declarations.costs import Cost
    from include.declarations.metrics import Metric, Task


class JudgedUseCase(Protocol):
    """Part of a use case that a gate is checked against."""

    @property
    def task(self) -> Task:
        """Binary, multiclass, regression or anomaly."""

    @property
    def metric(self) -> Metric:
        """Metric that the use case is judged by."""

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that the model takes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes; none of a regression."""

    @property
    def cost(self) -> Cost | None:
        """Cost of a wrong prediction, None where none is declared."""

    @property
    def prediction_range(self) -> tuple[float, float]:
        """Least and greatest prediction that are possible."""


class Gate(Declaration):
    """
    A check of a candidate.

    A failed gate of severity `block` refuses the candidate; `warn` and `info` are written on its certificate.
    """

    severity: Literal["block", "warn", "info"] = "block"
    kind: str

    @property
    def name(self) -> str:
        """Name of the verdict, unique among the gates of one use case and severity."""
        return self.kind

    @property
    def required_metrics(self) -> tuple[Metric, ...]:
        """Metrics that the gate needs, which must be those of the use case's task."""
        return ()

    @property
    def measured_metrics(self) -> tuple[str, ...]:
        """Metrics that are measured for the gate."""
        return self.required_metrics

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the feature view that the gate needs."""
        return ()

    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the gate does not fit the use case, or can never fire in it."""
