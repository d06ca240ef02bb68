"""The decision rule that is packaged with a model, chosen on the validation rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.data.snapshots.target_encoding import TARGET
from include.modeling.evaluation.context import MAX_ROWS, sample
from include.modeling.evaluation.costs import choose_rule
from include.modeling.evaluation.metrics import predict

if TYPE_CHECKING:
    from include.data.snapshots.splits import Splits
    from include.declarations import UseCase
    from include.inference.decisions import DecisionRule


def packaged_rule(use_case: UseCase, estimator: Any, splits: Splits) -> DecisionRule | None:
    """
    Return the rule that costs least on the validation rows; None unless answers have a decision.

    Raises
    ------
    DataError
        If an amount of the cost is missing or negative in a row.
    """
    if not use_case.serving.decision:
        return None
    rows = sample(splits.validation, MAX_ROWS)
    predictions = predict(estimator, use_case.task, rows[list(use_case.features)])
    return choose_rule(use_case, rows[TARGET].to_numpy(dtype=np.float64), predictions, rows)
