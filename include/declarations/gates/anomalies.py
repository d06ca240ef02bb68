"""Gates on anomaly detection, which has no labels: injected anomalies, and the share of flagged rows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from include.declarations.base import MaximumShare
from include.declarations.gates.base import Gate, JudgedUseCase

# At a greater ratio, chance explains any share of some hundred rows.
MAX_RATIO = 100


class _AnomalyGate(Gate):
    def check(self, use_case: JudgedUseCase) -> None:
        """Raise ValueError if the task is another one."""
        if use_case.task != "anomaly":
            raise ValueError(f"{self.kind}: only for an anomaly task, and the task is {use_case.task}")


class InjectedAnomalies(_AnomalyGate):
    """
    The model flags at least `minimum_recall` of the anomalies that are injected into the test rows.

    An injected anomaly has the values of no real row: each feature is drawn by itself, numbers uniformly from
    the range of the training rows and a tenth beyond it on both sides, others from the values that occur.

    This gate applies by default.
    """

    kind: Literal["injected_anomalies"] = "injected_anomalies"
    minimum_recall: float = Field(default=0.5, gt=0, le=1)


class FlaggedShare(_AnomalyGate):
    """
    The share of the test rows that is flagged is the declared contamination, and stable over the days.

    It lies within `contamination / maximum_ratio` and `contamination * maximum_ratio`, and so does that of
    each day, but for at most `maximum_unstable_days` of them. The share that is not flagged is at least
    `(1 - contamination) / maximum_ratio`, which limits a large contamination. A share that passes a limit by
    chance is none: a day counts if its number of flagged rows has a probability below 0.001 at the limit.

    This gate applies by default.
    """

    kind: Literal["flagged_share"] = "flagged_share"
    maximum_ratio: float = Field(default=3.0, gt=1, le=MAX_RATIO)
    maximum_unstable_days: MaximumShare = 0.1
