"""Injected anomalies: artificial rows among those of a split, by which a model without labels is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.splits import Splits
from include.data.snapshots.target_encoding import TARGET

if TYPE_CHECKING:
    from include.declarations import UseCase

# Injected rows per row of a split, within these numbers.
INJECTED_SHARE = 0.1
MIN_INJECTED = 50
MAX_INJECTED = 2_000
# Part of the range of a number by which injected values may lie outside of it.
MARGIN = 0.1
SEED = 0


def with_injected_anomalies(use_case: UseCase, splits: Splits) -> Splits:
    """
    Return the splits with injected anomalies, whose `TARGET` is 1; that of the other rows is 0.

    Each feature of an injected row is drawn by itself from the values of the training rows (artificial
    outliers without the dependence of the features; Steinbuss and Böhm, 2021): numbers uniformly from their
    range and `MARGIN` of it on both sides, others uniformly from the values that occur. Keys and day are
    those of evenly spaced rows of the split, and the rows are always the same.

    Parameters
    ----------
    use_case
        Use case of an anomaly task.
    splits
        Rows with the features, `DAY` and `TARGET`.
    """
    parts = [splits.train, splits.validation, splits.test]
    injected = [_inject(use_case, part, splits.train, SEED + number) for number, part in enumerate(parts)]
    return Splits(*injected)


def _inject(use_case: UseCase, rows: pd.DataFrame, train: pd.DataFrame, seed: int) -> pd.DataFrame:
    if rows.empty:
        return rows
    count = min(max(round(INJECTED_SHARE * len(rows)), MIN_INJECTED), MAX_INJECTED)
    random = np.random.default_rng(seed)
    positions = np.linspace(0, len(rows) - 1, count).astype(np.intp)
    drawn = {name: _draw(train[name], count, random) for name in use_case.features}
    injected = rows.iloc[positions].assign(**drawn, **{TARGET: 1.0})
    both = pd.concat([rows.assign(**{TARGET: 0.0}), injected], ignore_index=True)
    return both.sort_values(DAY, kind="stable", ignore_index=True)


def _draw(values: pd.Series[Any], count: int, random: np.random.Generator) -> Any:
    """Return `count` values of the type of a feature."""
    dtype: Any = values.dtype
    present = values.dropna()
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    if present.empty:
        drawn: Any = [None] * count
    elif is_number:
        low = float(present.min())
        high = float(present.max())
        margin = MARGIN * (high - low)
        drawn = random.uniform(low - margin, high + margin, count)
        if pd.api.types.is_integer_dtype(dtype):
            drawn = np.rint(drawn)
    else:
        drawn = random.choice(np.asarray(present.unique()), count)
    return pd.Series(drawn).astype(dtype).array
