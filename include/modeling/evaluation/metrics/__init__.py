"""Metrics of predictions: their functions, and what of them is defined on given rows."""

from __future__ import annotations

from include.modeling.evaluation.metrics.functions import METRIC_FUNCTIONS, metric_function
from include.modeling.evaluation.metrics.measures import (
    absent_classes,
    as_predictions,
    compute_metrics,
    equal_count_bins,
    explain_undefined,
    predict,
    skill_score,
    undefined_metrics,
)

__all__ = [
    "METRIC_FUNCTIONS",
    "absent_classes",
    "as_predictions",
    "compute_metrics",
    "equal_count_bins",
    "explain_undefined",
    "metric_function",
    "predict",
    "skill_score",
    "undefined_metrics",
]
