"""Coercion of the declared columns to their types."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from include.data.lake import dtypes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from include.data.validation.batch import Batch
    from include.declarations import Column

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class CoercedColumns:
    """
    Declared columns in their types.

    Attributes
    ----------
    values : mapping of str to pandas.Series
        By column, n values; null where a value is not of the declared type.
    misfits : mapping of str to numpy.ndarray
        By column, bool (n,): which values are not of the declared type.
    """

    values: Mapping[str, pd.Series[Any]] = field(repr=False)
    misfits: Mapping[str, Array] = field(repr=False)


def coerce_columns(frame: pd.DataFrame, columns: Sequence[Column]) -> CoercedColumns:
    """Return those of `columns` that `frame` has in their declared types."""
    values: dict[str, pd.Series[Any]] = {}
    misfits: dict[str, Array] = {}
    for column in columns:
        if column.name not in frame.columns:
            continue
        typed, misfit = dtypes.coerce(frame[column.name], column.dtype)
        values[column.name] = _empty_text_as_null(typed) if column.dtype == "string" else typed
        misfits[column.name] = misfit
    return CoercedColumns(values, misfits)


def coerce_batch(batch: Batch, columns: Sequence[Column]) -> tuple[Batch, Mapping[str, Array]]:
    """Return the rows with the partition columns and the declared columns in their types, and the misfits."""
    coerced = coerce_columns(batch.frame, columns)
    partition_columns = {name: batch.frame[name].astype(object) for name in batch.partitions.columns}
    # One new frame has one block per dtype, which makes Great Expectations' copies of it cheap.
    typed = pd.DataFrame(partition_columns | dict(coerced.values))
    return batch.with_frame(typed), coerced.misfits


def _empty_text_as_null(text: pd.Series[Any]) -> pd.Series[Any]:
    """Return the text with null for an empty string: a CSV file does not distinguish the two either."""
    return text.mask(text == "") if "" in text.to_numpy() else text
