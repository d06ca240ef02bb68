"""Analysis of a rollout step: does the challenger do worse than the champion, by sequential tests."""

from __future__ import annotations

from include.release.analysis.observations import (
    Losses,
    Observation,
    RequestCounts,
    RolloutStage,
    StepWindow,
    observe,
)
from include.release.analysis.outcomes import Analysis, AnalysisOutcome, analyse

__all__ = [
    "Analysis",
    "AnalysisOutcome",
    "Losses",
    "Observation",
    "RequestCounts",
    "RolloutStage",
    "StepWindow",
    "analyse",
    "observe",
]
