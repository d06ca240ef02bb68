"""Baseline: predictions without a model, from the targets of similar training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.declarations.metrics import baseline_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.modeling.evaluation.bootstrap import Values

# The mean of fewer rows of a slot is chance.
MIN_SLOT_ROWS = 20


def baseline_predictions(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    """
    Return for each frame the mean target of each row's slot in `train`, by `baseline_by` of the use case.

    It is the median where the metric is an absolute or relative error, the quantile of a quantile loss, and
    of several classes the share of each.
    A slot with fewer than `MIN_SLOT_ROWS` training rows has the mean of all training rows.

    Parameters
    ----------
    use_case : UseCase
    train : DataFrame, shape (n_train, n_columns)
        Training rows with the columns `TARGET` and those of `baseline_by`.
    *frames : DataFrame, shape (n, n_columns)
        Rows to predict.

    Returns
    -------
    list of arrays, shape (n,) or (n, n_classes)
    """
    if use_case.task != "multiclass":
        return _predict_by_slot(use_case, train, *frames)
    shares = []
    for code, _ in enumerate(use_case.class_names):
        is_class = (train[TARGET] == code).astype(np.float64)
        shares.append(_predict_by_slot(use_case, train.assign(**{TARGET: is_class}), *frames))
    return [np.column_stack(columns) for columns in zip(*shares, strict=True)]


def _predict_by_slot(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    quantile = baseline_quantile(use_case.metric)
    target = train[TARGET]
    overall = float(target.mean() if quantile is None else target.quantile(quantile))
    if not use_case.baseline_by:
        return [np.full(len(frame), overall) for frame in frames]
    columns = list(use_case.baseline_by)
    slots = train.groupby(columns, observed=True)[TARGET]
    of_slots = slots.mean() if quantile is None else slots.quantile(quantile)
    values = of_slots[slots.size() >= MIN_SLOT_ROWS]
    return [_look_up(values, frame, columns, overall) for frame in frames]


def _look_up(values: pd.Series[float], frame: pd.DataFrame, columns: Sequence[str], default: float) -> Values:
    if len(columns) == 1:
        keys = pd.Index(frame[columns[0]])
    else:
        keys = pd.MultiIndex.from_frame(frame[list(columns)])
    positions = values.index.get_indexer(keys)
    # The position -1 of an absent slot indexes the last value.
    with_default = np.append(values.to_numpy(dtype=np.float64), default)
    return np.asarray(with_default[positions])
