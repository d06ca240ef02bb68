"""Shifts of labels against the training (label shift), and of predictions against the windows before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.declarations import Column
from include.monitoring.distributions.counts import count_column
from include.monitoring.distributions.shifts import measure_shifts
from include.monitoring.quality.skill import as_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase

# With fewer rows on one side there is no verdict.
MIN_ROWS = 100
# Probability that either of both is found by chance.
ALPHA = 0.01


def measure_target_shifts(
    use_case: UseCase, trained: pd.Series, joined: Sequence[pd.DataFrame]
) -> dict[str, dict[str, Any]]:
    """
    Return the shift of `label` and of `prediction`, as far as there are 100 rows on both sides.

    Each has `drifted`, `effect` (see `include.monitoring.distributions.shifts`) and `p_value`.

    Parameters
    ----------
    trained
        Encoded labels of the champion's training rows, (n,).
    joined
        Results of `join_labels`, newest window first. Labels are those of all windows; predictions are those
        of the newest window against all before.
    """
    labels = pd.concat([rows[TARGET] for rows in joined])
    predictions = [_compared_predictions(use_case, rows) for rows in joined if len(rows)]
    pairs = {"label": (_as_column(use_case, trained), _as_column(use_case, labels))}
    if len(predictions) > 1 and len(joined[0]):
        pairs["prediction"] = (pd.concat(predictions[1:], ignore_index=True), predictions[0])
    shifts: dict[str, dict[str, Any]] = {}
    for name, (before, now) in pairs.items():
        if min(before.notna().sum(), now.notna().sum()) < MIN_ROWS:
            continue
        is_number = pd.api.types.is_float_dtype(before)
        column = Column(name=name, dtype="number" if is_number else "string")
        sides = count_column(before.dropna(), now.dropna(), column)
        shift = next(shift for shift in measure_shifts(sides) if shift.kind == "values")
        shifts[name] = {
            "drifted": bool(shift.matters and shift.p_value < ALPHA / 2),
            "effect": shift.effect,
            "p_value": shift.p_value,
        }
    return shifts


def _as_column(use_case: UseCase, labels: pd.Series) -> pd.Series:
    """Return labels of a regression as numbers, classes as text."""
    if use_case.task == "regression":
        return labels.astype("float64")
    return labels.astype("Int64").astype(object).map(str, na_action="ignore")


def _compared_predictions(use_case: UseCase, rows: pd.DataFrame) -> pd.Series:
    """Return predictions as numbers; of several classes the most probable one, as text."""
    predictions = as_array(rows)
    if use_case.task == "multiclass":
        return pd.Series(np.argmax(predictions, axis=1)).map(str)
    return pd.Series(predictions)
