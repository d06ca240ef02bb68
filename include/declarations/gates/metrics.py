"""The measures of the field, and which task each is of."""

from __future__ import annotations

from typing import Literal

Task = Literal["classification", "regression"]
Metric = Literal["roc_auc", "average_precision", "log_loss", "brier", "rmse", "mae", "r2"]

METRICS: dict[Task, frozenset[Metric]] = {
    "classification": frozenset({"roc_auc", "average_precision", "log_loss", "brier"}),
    "regression": frozenset({"rmse", "mae", "r2"}),
}
GREATER_IS_BETTER: frozenset[Metric] = frozenset({"roc_auc", "average_precision", "r2"})
