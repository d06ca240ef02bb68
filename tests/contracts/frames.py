"""Rows as a declaration describes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from include.declarations import Column


def generate(columns: Iterable[Column], count: int, day: date) -> pd.DataFrame:
    """Return `count` rows of a day: strings distinct where free, numbers within bounds, a few nulls."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({column.name: _values(column, count, day, rng) for column in columns})


def _values(column: Column, count: int, day: date, rng: np.random.Generator) -> pd.Series:
    low = -100.0 if column.minimum is None else column.minimum
    high = low + 200.0 if column.maximum is None else column.maximum
    if column.allowed:
        values = pd.Series(rng.choice(column.allowed, count))
    elif column.dtype == "string":
        values = pd.Series([f"{column.name}-{day}-{number}" for number in range(count)])
    elif column.dtype == "timestamp":
        first = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=8)  # when the features of its day are online
        values = pd.Series(pd.date_range(first, periods=count, freq="3min"))
    elif column.dtype == "boolean":
        values = pd.Series(rng.random(count) < 0.5)
    elif column.dtype == "integer":
        values = pd.Series(rng.integers(int(low), int(high) + 1, count))
    else:
        values = pd.Series(rng.uniform(low, high, count))
    if column.nullable:
        values = values.astype(object).where(rng.random(count) > 0.05, None).infer_objects()
    return values
