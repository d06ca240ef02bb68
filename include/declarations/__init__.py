"""What a team declares; everything else is derived from it."""

from __future__ import annotations

from include.declarations.base import Declaration, Duration, Environment, Name, Severity, Share
from include.declarations.columns import Column
from include.declarations.datasets import Dataset, Freshness, Usual
from include.declarations.features import FeatureView, Source
from include.declarations.gates import (
    GREATER_IS_BETTER,
    METRICS,
    AnyGate,
    Gate,
    Improvement,
    Metric,
    Overfitting,
    Task,
    Threshold,
)
from include.declarations.release import Rollout
from include.declarations.sources import AnySource, FileSource, Format, HttpSource, PostgresSource
from include.declarations.use_cases import Label, Split, UseCase
from include.declarations.watch import DriftPolicy, RetrainPolicy, Slo

__all__ = [
    "GREATER_IS_BETTER",
    "METRICS",
    "AnyGate",
    "AnySource",
    "Column",
    "Dataset",
    "Declaration",
    "DriftPolicy",
    "Duration",
    "Environment",
    "FeatureView",
    "FileSource",
    "Format",
    "Freshness",
    "Gate",
    "HttpSource",
    "Improvement",
    "Label",
    "Metric",
    "Name",
    "Overfitting",
    "PostgresSource",
    "RetrainPolicy",
    "Rollout",
    "Severity",
    "Share",
    "Slo",
    "Source",
    "Split",
    "Task",
    "Threshold",
    "UseCase",
    "Usual",
]
