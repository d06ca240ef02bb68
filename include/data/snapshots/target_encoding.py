"""What a label's column says, as the number that a model learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from include.declarations import Label


def encode(label: Label, values: pd.Series) -> pd.Series:
    """
    Return the target of each value, missing where it is: a number, 1 above `above`, or the class's place.

    :raises DataError: if a value names none of the declared classes
    """
    if label.bands:
        numbers = values.astype("float64")
        places = pd.Series(np.searchsorted(label.bands, numbers), index=values.index, dtype="float64")
        return places.where(numbers.notna())
    if label.classes:
        strange = sorted({str(value) for value in values.dropna().unique()} - set(label.classes))
        if strange:
            raise DataError(
                f"{label.dataset}: {label.column} names {', '.join(strange[:5])}, and the declared classes "
                f"are {', '.join(label.classes)}. Declare what is missing in `label.classes`."
            )
        return values.map({name: float(place) for place, name in enumerate(label.classes)}).astype("float64")
    numbers = values.astype("float64")
    if label.above is not None:
        return (numbers > label.above).astype("float64").where(numbers.notna())
    return numbers
