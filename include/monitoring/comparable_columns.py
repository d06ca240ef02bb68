"""Columns as two samples can be compared: numbers, or text; what is neither is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import Column

SEED = 20_130_701
LARGEST = 1e14  # Evidently draws a constant c from c - 0.5 to c + 0.5, which has no room beyond
LONGEST = 200
NUMBERS = frozenset({"number", "integer"})
# What callers sent ends up in a page that people open: no value may become markup.
HARMLESS = str.maketrans("<>", "()")


def comparable(frame: pd.DataFrame, columns: Sequence[Column], *, maximum_rows: int) -> pd.DataFrame:
    """
    Return at most `maximum_rows` rows, the same ones each time, with exactly `columns`.

    A column that is not there is all missing, and so is what is infinite or of another type than declared.

    :raises DataError: if a column stands in the frame twice
    """
    twice = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
    if twice:
        raise DataError(f"Column {', '.join(twice)} stands twice in the rows to compare. Select each once.")
    if len(frame) > maximum_rows:
        frame = frame.sample(maximum_rows, random_state=SEED)
    return pd.DataFrame(
        {
            column.name: _numbers(frame[column.name])
            if column.dtype in NUMBERS
            else _categories(frame[column.name])
            for column in columns
            if column.name in frame
        },
        columns=[column.name for column in columns],
        index=frame.index,
    ).reset_index(drop=True)


def _numbers(values: pd.Series) -> pd.Series:
    if not pd.api.types.is_numeric_dtype(values):
        is_number = values.map(lambda value: isinstance(value, (int, float, np.number)))
        values = values.where(is_number.astype(bool))
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    # Values that differ in their last digits only leave no room for a histogram's bins.
    return numbers.where(numbers.abs() < LARGEST).astype("float32").astype("float64")


def _categories(values: pd.Series) -> pd.Series:
    text = values.astype(object).map(lambda value: str(value)[:LONGEST].translate(HARMLESS))
    return text.where(values.notna(), None)
