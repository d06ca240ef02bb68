"""Rows on which a compiled twin could differ from its estimator: missing, unseen and extreme values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.feature_values import DTYPES, base_kind, may_be_missing, nullable_kind
from include.modeling.packaging.twin_encoder import UNSEEN_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.feature_values import ColumnType

ROWS_PER_VARIANT = 5
# Numbers that fit into single precision.
EXTREMES = (0.0, -1.0, 0.1, 1e-30, 1e6, -1e6, 16_777_217.0, 3e38, -3e38)
INTEGER_EXTREMES = (0, -1, 1, 10**6, -(10**6), 2**24 + 1, 2**31 - 1, -(2**31))


def adversarial_frames(rows: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> Iterator[pd.DataFrame]:
    """
    Yield frames of rows in which one value, or each value that may be, is missing, unseen or extreme.

    Parameters
    ----------
    rows
        Rows of the training, as an estimator gets them (at least one).
    kinds
        Type of each feature.
    """
    positions = np.linspace(0, len(rows) - 1, min(ROWS_PER_VARIANT, len(rows))).astype(int)
    base = rows.iloc[positions]
    nullable = [name for name, kind in kinds.items() if may_be_missing(kind)]
    if nullable:
        yield _changed(base, kinds, dict.fromkeys(nullable))
    for name, kind in kinds.items():
        for value in _unusual_values(rows[name], kind):
            yield _changed(base, kinds, {name: value})


def _unusual_values(values: pd.Series[Any], kind: ColumnType) -> list[Any]:
    unusual: list[Any] = [None] if may_be_missing(kind) else []
    base = base_kind(kind)
    if base == "string":
        return [*unusual, UNSEEN_TEXT, ""]
    if base in {"integer", "long"}:
        return [*unusual, *INTEGER_EXTREMES]
    if base in {"float", "double"}:
        present = values.dropna()
        bounds = [present.min(), present.max()] if len(present) else []
        neighbours = [float(np.nextafter(bound, np.inf)) for bound in bounds]
        return [*unusual, *EXTREMES, *(10 * bound for bound in bounds), *neighbours]
    return [*unusual, True, False] if base == "boolean" else unusual


def _changed(base: pd.DataFrame, kinds: Mapping[str, ColumnType], values: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows with other values in some columns, in the types that an estimator gets."""
    columns = {}
    for name, value in values.items():
        kind = kinds[name]
        if base_kind(kind) == "datetime":
            columns[name] = pd.Series(pd.NaT, index=base.index, dtype=DTYPES[kind])
            continue
        dtype = DTYPES[nullable_kind(kind)] if value is None else DTYPES[kind]
        is_number = base_kind(kind) != "string"
        columns[name] = pd.Series(
            np.full(len(base), np.nan if value is None and is_number else value, dtype=dtype),
            index=base.index,
        )
    return base.assign(**columns)
