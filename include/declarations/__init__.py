"""Declarations: what a team writes about datasets, features and models; DAGs and gates follow from it."""

from __future__ import annotations

from include.declarations.base import KNOWN_AT, Declaration, Duration, Environment, Name, Severity, Share, Tag
from include.declarations.costs import AnyCost, ClassCost, DecisionCost, ErrorCost
from include.declarations.data.checks import ForeignKey, Freshness, Stability
from include.declarations.data.columns import Column
from include.declarations.data.datasets import Dataset
from include.declarations.data.features import FeatureView, Online, ViewSource
from include.declarations.data.file_formats import FileFormat, Format
from include.declarations.data.sources import (
    AnySource,
    CustomSource,
    DatabaseSource,
    FileSource,
    HttpSource,
)
from include.declarations.fallback import Fallback
from include.declarations.gates import (
    METRICS,
    RATES,
    AnyGate,
    Budget,
    BusinessValue,
    Calibration,
    Fairness,
    FlaggedShare,
    Gate,
    GoldenCase,
    GoldenPredictions,
    Improvement,
    InjectedAnomalies,
    Leakage,
    Metric,
    NonInferiority,
    Overfitting,
    Rate,
    Robustness,
    SignatureCompatibility,
    Task,
    Threshold,
)
from include.declarations.labels import Label
from include.declarations.metrics import GREATER_IS_BETTER, is_greater_better
from include.declarations.monitoring import DriftPolicy, RetrainPolicy, Schedules, Slo
from include.declarations.release import Rollout, RolloutMetric, Strategy
from include.declarations.risk import Risk
from include.declarations.serving import SageMaker, Serving
from include.declarations.training import (
    AnyParameter,
    Categorical,
    FinalRefit,
    Integer,
    Pruning,
    Real,
    Resources,
    Split,
    Training,
    Tuning,
)
from include.declarations.use_cases import UseCase

__all__ = [
    "GREATER_IS_BETTER",
    "KNOWN_AT",
    "METRICS",
    "RATES",
    "AnyCost",
    "AnyGate",
    "AnyParameter",
    "AnySource",
    "Budget",
    "BusinessValue",
    "Calibration",
    "Categorical",
    "ClassCost",
    "Column",
    "CustomSource",
    "DatabaseSource",
    "Dataset",
    "DecisionCost",
    "Declaration",
    "DriftPolicy",
    "Duration",
    "Environment",
    "ErrorCost",
    "Fairness",
    "Fallback",
    "FeatureView",
    "FileFormat",
    "FileSource",
    "FinalRefit",
    "FlaggedShare",
    "ForeignKey",
    "Format",
    "Freshness",
    "Gate",
    "GoldenCase",
    "GoldenPredictions",
    "HttpSource",
    "Improvement",
    "InjectedAnomalies",
    "Integer",
    "Label",
    "Leakage",
    "Metric",
    "Name",
    "NonInferiority",
    "Online",
    "Overfitting",
    "Pruning",
    "Rate",
    "Real",
    "Resources",
    "RetrainPolicy",
    "Risk",
    "Robustness",
    "Rollout",
    "RolloutMetric",
    "SageMaker",
    "Schedules",
    "Serving",
    "Severity",
    "Share",
    "SignatureCompatibility",
    "Slo",
    "Split",
    "Stability",
    "Strategy",
    "Tag",
    "Task",
    "Threshold",
    "Training",
    "Tuning",
    "UseCase",
    "ViewSource",
    "is_greater_better",
]
