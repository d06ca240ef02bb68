"""Metrics of each task."""

from __future__ import annotations

from typing import Literal

Task = Literal["binary", "multiclass", "regression", "anomaly"]
Metric = Literal[
    "roc_auc", "average_precision", "log_loss", "brier",
    "accuracy", "balanced_accuracy", "f1_macro",
    "rmse", "mae", "r2",
]  # fmt: skip

METRICS: dict[Task, frozenset[Metric]] = {
    "binary": frozenset({"roc_auc", "average_precision", "log_loss", "brier"}),
    "multiclass": frozenset({"roc_auc", "log_loss", "accuracy", "balanced_accuracy", "f1_macro"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
    # Of the injected anomalies among the rows.
    "anomaly": frozenset({"roc_auc", "average_precision"}),
}
GREATER_IS_BETTER: frozenset[Metric] = frozenset(
    {"roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1_macro", "r2"}
)
