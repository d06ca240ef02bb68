"""What a team declares; everything else is derived from it."""

from __future__ import annotations

from include.declarations.base import Declaration, Duration, Environment, Name, Severity, Share
from include.declarations.columns import Column
from include.declarations.datasets import Dataset, Freshness, Usual
from include.declarations.features import FeatureView, Online, Source
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
from include.declarations.training import AnyParameter, Choice, Real, Training, Tuning, Whole
from include.declarations.use_cases import Label, Split, UseCase
from include.declarations.watch import DriftPolicy, RetrainPolicy, Slo

__all__ = [
    "GREATER_IS_BETTER",
    "METRICS",
    "AnyGate",
    "AnyParameter",
    "AnySource",
    "Choice",
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
    "Online",
    "Overfitting",
    "PostgresSource",
    "Real",
    "RetrainPolicy",
    "Rollout",
    "Severity",
    "Share",
    "Slo",
    "Source",
    "Split",
    "Task",
    "Threshold",
    "Training",
    "Tuning",
    "UseCase",
    "Usual",
    "Whole",
]
