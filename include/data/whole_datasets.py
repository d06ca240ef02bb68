"""Datasets that are read whole: each new file replaces all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from datetime import date

    from include.data.lake.delta_tables import Lake
    from include.declarations import Dataset

# No text holds it.
NULL = "\0"


def unchanged_since(dataset: Dataset, lake: Lake, frame: pd.DataFrame) -> date | None:
    """
    Return the day of the newest publication if `frame` has the same rows, in any order; else None.

    Parameters
    ----------
    dataset
        Dataset that is read whole.
    lake
        Lake with its table, if there is one yet.
    frame
        Accepted rows (n) of a new reading.
    """
    days = lake.days(dataset.name)
    if not days:
        return None
    columns = [column.name for column in dataset.columns if column.name in frame]
    published = lake.read(dataset.name, days[-1:])
    if not set(columns) <= set(published) or len(published) != len(frame):
        return None
    return days[-1] if _hashes(published[columns]).equals(_hashes(frame[columns])) else None


def _hashes(rows: pd.DataFrame) -> pd.Series:
    """Return the sorted hashes of rows, which do not depend on the dtypes of their columns."""
    texts = rows.astype(str).where(rows.notna(), NULL)
    return pd.util.hash_pandas_object(texts, index=False).sort_values(ignore_index=True)
