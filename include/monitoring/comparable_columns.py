"""Columns of two samples, converted so that they can be compared: numbers, or text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

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
    Return exactly `columns` of at most `maximum_rows` rows.

    Of larger frames it is a fixed random row of each of as many blocks of neighbouring rows, so that each day
    of an ordered table has its share. Values that are infinite or of another type than declared are missing;
    so is a column that `frame` lacks.

    Returns
    -------
    pandas.DataFrame
        float64 for numeric columns, object (str or None) for the others.

    Raises
    ------
    DataError
        If `frame` has two columns with the same name.
    """
    require_unique_names(frame)
    if len(frame) > maximum_rows:
        bounds = np.linspace(0, len(frame), maximum_rows + 1).astype(np.int64)
        frame = frame.iloc[np.random.default_rng(SEED).integers(bounds[:-1], bounds[1:])]
    values = {column.name: _convert(frame[column.name], column) for column in columns if column.name in frame}
    names = [column.name for column in columns]
    return pd.DataFrame(values, columns=names, index=frame.index).reset_index(drop=True)


def require_unique_names(frame: pd.DataFrame) -> None:
    """
    Check the names of the columns.

    Raises
    ------
    DataError
        If two columns have the same name.
    """
    duplicates = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
    if duplicates:
        raise DataError(
            f"Column {', '.join(duplicates)} stands twice in the rows to compare. Select each column once."
        )


def _convert(values: pd.Series, column: Column) -> pd.Series:
    return _to_numbers(values) if column.dtype in NUMERIC_TYPES else to_categories(values, column)


def usable_numbers(values: pd.Series) -> npt.NDArray[np.float64]:
    """Return the values that are finite numbers of less than 1e14, at most (n,)."""
    numbers = _parse_numbers(values).to_numpy(dtype=np.float64)
    is_usable = np.abs(numbers) < MAX_NUMBER
    return numbers if is_usable.all() else numbers[is_usable]


def _parse_numbers(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    is_number = values.map(lambda value: isinstance(value, (int, float, np.number)))
    return pd.to_numeric(values.where(is_number.astype(bool)), errors="coerce").astype("float64")


def _to_numbers(values: pd.Series) -> pd.Series:
    numbers = _parse_numbers(values)
    # float32 first: values that differ in their last digits only leave no room for a histogram's bins.
    return numbers.where(numbers.abs() < MAX_NUMBER).astype("float32").astype("float64")


def to_categories(values: pd.Series, column: Column) -> pd.Series:
    """Return each value as a text of at most 200 characters without markup (object, None where missing)."""
    if column.dtype == "boolean":
        # Training rows hold 1.0 and 0.0 where values may be missing, requests true and false.
        values = values.map(lambda value: bool(value) if value in (0, 1) else value, na_action="ignore")
    text = values.astype(object).map(lambda value: str(value)[:MAX_TEXT_LENGTH].translate(ESCAPED_MARKUP))
    return text.where(values.notna(), None)
