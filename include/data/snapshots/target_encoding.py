"""Encoding of a label's column as the numeric target of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from include.declarations import Label


def encode(label: Label, values: pd.Series) -> pd.Series:
    """
    Return the target (n,) as float64, NaN where the label is missing.

    The target is 1.0 or 0.0 with `above`, the index of the class with `bands` or `classes`, else the number.

    Raises
    ------
    DataError
        If a value is not one of the declared classes.
    """
    if label.bands:
        numbers = values.astype("float64")
        classes = pd.Series(np.searchsorted(label.bands, numbers), index=values.index, dtype="float64")
        return classes.where(numbers.notna())
    if label.classes:
        unknown = sorted({str(value) for value in values.dropna().unique()} - set(label.classes))
        if unknown:
            raise DataError(
                f"{label.dataset}: {label.column} has values {', '.join(unknown[:5])} that are not among the "
                f"declared classes {', '.join(label.classes)}. Add them to `label.classes`."
            )
        codes = {name: float(code) for code, name in enumerate(label.classes)}
        return values.map(codes).astype("float64")
    numbers = values.astype("float64")
    if label.above is not None:
        return (numbers > label.above).astype("float64").where(numbers.notna())
    return numbers
