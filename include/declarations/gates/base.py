"""What all gates share: a name, a severity, and what of the use case they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from include.declarations.base import Declaration

if TYPE_CHECKING:
    from include.declarations.metrics import Metric, Task


class JudgedUseCase(Protocol):
    """The part of a use case that a gate checks its own declaration against."""

    @property
    def task(self) -> Task:
        """Binary, multiclass or regression."""

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that the model takes."""

    @property
    def cost(self) -> object | None:
        """Cost of a wrong prediction, None where none is declared."""


class Gate(Declaration):
    """What a candidate must show; `block` stops it, `warn` is written on its certificate."""

    severity: Literal["block", "warn", "info"] = "block"
    kind: str

    @property
    def name(self) -> str:
        """How its verdict is called; of one severity, two gates of one use case never share it."""
        return self.kind

    @property
    def required_metrics(self) -> tuple[Metric, ...]:
        """The metrics that it asks for; they must be of the use case's task."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the feature view that it looks at."""
        return ()

    def check(self, use_case: JudgedUseCase) -> None:
        """Refuse a use case that this gate could never judge."""
