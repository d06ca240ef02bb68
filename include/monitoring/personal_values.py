"""Personal values in monitoring: compared as pseudonyms, as they are in the inference log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.pseudonyms import pseudonym

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from include.declarations import Column


def comparable_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that can be compared: a personal number, moment or boolean is not logged."""
    return [column for column in columns if not column.personal or column.dtype == "string"]


def with_pseudonyms(frame: pd.DataFrame, columns: Sequence[Column], key: str) -> pd.DataFrame:
    """
    Return the frame with pseudonyms for the values of its personal columns.

    Values that are pseudonyms already, and missing ones, stay as they are.

    Parameters
    ----------
    frame
        Rows (n) with any of the columns.
    columns
        Declared columns.
    key
        Key of pseudonyms.
    """
    personal = [column.name for column in columns if column.personal and column.name in frame.columns]

    def encode(values: pd.Series) -> pd.Series:
        return values.astype(object).map(lambda value: pseudonym(value, key), na_action="ignore")

    return frame.assign(**{name: encode(frame[name]) for name in personal})
