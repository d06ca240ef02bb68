"""Datasets that are read whole: each new file replaces all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.data.lake.dtypes import to_frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from include.data.lake.delta_tables import Lake
    from include.data.lake.dtypes import RowBatches
    from include.declarations import Dataset

# No text holds it.
NULL = "\0"


def unchanged_since(dataset: Dataset, lake: Lake, rows: RowBatches) -> date | None:
    """
    Return the day of the newest publication if it has the same rows, in any order; else None.

    Parameters
    ----------
    dataset
        Dataset that is read whole.
    lake
        Lake with its table, if there is one yet.
    rows
        Accepted rows of a new reading.
    """
    days = lake.days(dataset.name)
    if not days:
        return None
    columns = [column.name for column in dataset.columns if column.name in rows.schema.names]
    published = lake.scan(dataset.name, days[-1:])
    if not set(columns) <= set(published.schema.names):
        return None
    is_same = np.array_equal(_hashes(published, columns), _hashes(rows.batches(columns), columns))
    return days[-1] if is_same else None


def _hashes(batches: Iterable[pa.RecordBatch], columns: list[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Return the sorted hashes (n,) of rows, which do not depend on the dtypes of their columns."""
    parts: list[Any] = [np.zeros(0, dtype=np.uint64)]
    for batch in batches:
        frame = to_frame(pa.Table.from_batches([batch]).select(columns))
        texts = frame.astype(str).where(frame.notna(), NULL)
        parts.append(pd.util.hash_pandas_object(texts, index=False).to_numpy())
    return np.sort(np.concatenate(parts))
