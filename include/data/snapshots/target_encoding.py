"""Encoding of a label's column as the numeric target of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.declarations.base import INTERNAL_PREFIX
from include.errors import DataError

if TYPE_CHECKING:
    from include.declarations import Label

# Column of the target beside the features.
TARGET = f"{INTERNAL_PREFIX}target"
# Column of the number that `above` or `bands` divide into classes, as it is in the data.
RAW_LABEL = f"{INTERNAL_PREFIX}raw_label"
MAX_NAMED = 5


def encode(label: Label, values: pd.Series) -> pd.Series:
    """
    Return the target (n,) as float64, NaN where the label is missing.

    The target is the index of the class with `bands` or `classes`; 1.0 or 0.0 with `above` or `positive`, and
    of a boolean column; else the number.

    Raises
    ------
    DataError
        If a value is not one of the declared classes, or no number where one is needed.
    """
    if label.form == "classes":
        return _codes_of_classes(label, values)
    if label.form == "positive":
        return _where_labelled((values == label.positive).astype("float64"), values)
    numbers = _numbers(label, values)
    if label.form == "bands":
        codes = pd.Series(np.searchsorted(label.bands, numbers), index=values.index, dtype="float64")
        return _where_labelled(codes, values)
    if label.above is not None:
        return _where_labelled((numbers > label.above).astype("float64"), values)
    return numbers


def _codes_of_classes(label: Label, values: pd.Series) -> pd.Series:
    codes = {name: float(code) for code, name in enumerate(label.classes)}
    unknown = sorted({str(value) for value in values.dropna().unique() if value not in codes})
    if unknown:
        raise DataError(
            f"{label.dataset}: {label.column} has values {', '.join(unknown[:MAX_NAMED])} that are not among "
            f"the declared classes {', '.join(label.class_names)}. Add them to `label.classes`."
        )
    return values.map(codes).astype("float64")


def _numbers(label: Label, values: pd.Series) -> pd.Series:
    try:
        return values.astype("float64")
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{label.dataset}: {label.column} has values that are no numbers: {error}. Declare "
            "`label.positive` or `label.classes` of the use case."
        ) from error


def _where_labelled(target: pd.Series, values: pd.Series) -> pd.Series:
    return target.where(values.notna())
