"""Promotion gates: checks that a candidate must pass before it is registered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from include.declarations.gates.anomalies import FlaggedShare, InjectedAnomalies
from include.declarations.gates.base import Gate
from include.declarations.gates.behaviour import (
    RATES,
    Fairness,
    GoldenCase,
    GoldenPredictions,
    Leakage,
    Rate,
    Robustness,
)
from include.declarations.gates.performance import (
    Calibration,
    Improvement,
    NonInferiority,
    Overfitting,
    Threshold,
)
from include.declarations.gates.service import Budget, BusinessValue, SignatureCompatibility
from include.declarations.metrics import METRICS, Metric, Task

__all__ = [
    "METRICS",
    "RATES",
    "AnyGate",
    "Budget",
    "BusinessValue",
    "Calibration",
    "Fairness",
    "FlaggedShare",
    "Gate",
    "GoldenCase",
    "GoldenPredictions",
    "Improvement",
    "InjectedAnomalies",
    "Leakage",
    "Metric",
    "NonInferiority",
    "Overfitting",
    "Rate",
    "Robustness",
    "SignatureCompatibility",
    "Task",
    "Threshold",
]

AnyGate = Annotated[
    Threshold
    | Improvement
    | NonInferiority
    | Overfitting
    | Calibration
    | Fairness
    | Robustness
    | Leakage
    | GoldenPredictions
    | Budget
    | SignatureCompatibility
    | BusinessValue
    | InjectedAnomalies
    | FlaggedShare,
    Field(discriminator="kind"),
]
