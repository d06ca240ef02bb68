"""Columns of two samples, converted so that they can be compared: numbers, or text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Column

SEED = 20_130_701
# Evidently draws a constant c from c - 0.5 to c + 0.5. Above this limit the two bounds are the same number.
MAX_NUMBER = 1e14
MAX_TEXT_LENGTH = 200
NUMERIC_TYPES = frozenset({"number", "integer"})
# The values were sent by callers and are shown on a page: none of them may become markup.
ESCAPED_MARKUP = str.maketrans("<>", "()")


def select_comparable(frame: pd.DataFrame, columns: Sequence[Column], *, maximum_rows: int) -> pd.DataFrame:
    """
    Return exactly `columns` of at most `maximum_rows` rows, with a fixed random sample of larger frames.

    Values that are infinite or of another type than declared are missing; so is a column that `frame` lacks.

    Returns
    -------
    pandas.DataFrame
        float64 for numeric columns, object (str or None) for the others.

    Raises
    ------
    DataError
        If `frame` has two columns with the same name.
    """
    duplicates = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
    if duplicates:
        raise DataError(
            f"Column {', '.join(duplicates)} stands twice in the rows to compare. Select each column once."
        )
    if len(frame) > maximum_rows:
        frame = frame.sample(maximum_rows, random_state=SEED)
    values = {column.name: _convert(frame[column.name], column) for column in columns if column.name in frame}
    names = [column.name for column in columns]
    return pd.DataFrame(values, columns=names, index=frame.index).reset_index(drop=True)


def _convert(values: pd.Series, column: Column) -> pd.Series:
    if column.dtype == "boolean":
        # Training rows hold 1.0 and 0.0 where values may be missing, requests true and false.
        values = values.map(lambda value: bool(value) if value in (0, 1) else value, na_action="ignore")
    return _to_numbers(values) if column.dtype in NUMERIC_TYPES else _to_categories(values)


def _to_numbers(values: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values):
        is_number = values.map(lambda value: isinstance(value, (int, float, np.number)))
        values = values.where(is_number.astype(bool))
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    # float32 first: values that differ in their last digits only leave no room for a histogram's bins.
    return numbers.where(numbers.abs() < MAX_NUMBER).astype("float32").astype("float64")


def _to_categories(values: pd.Series) -> pd.Series:
    text = values.astype(object).map(lambda value: str(value)[:MAX_TEXT_LENGTH].translate(ESCAPED_MARKUP))
    return text.where(values.notna(), None)
