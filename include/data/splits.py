"""Cut rows by time: a model is judged on days after those that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from include.errors import DataError

if TYPE_CHECKING:
    from include.declarations import Split


@dataclass(frozen=True, slots=True)
class Splits:
    """Rows to fit, to choose and to judge a model; their days do not overlap and are in this order."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def split(frame: pd.DataFrame, split: Split) -> Splits:
    """
    Return the last `test_days` days as test, the `validation_days` before as validation, the rest as train.

    :raises DataError: if there are too few days or rows, or training or test rows have one class only
    """
    days = sorted(frame["day"].unique())
    held_out = split.validation_days + split.test_days
    if len(days) <= held_out:
        raise DataError(
            f"There are {len(days)} days of labelled rows, and {held_out} are held out for validation "
            "and test. "
            "Publish more days, or ask for fewer in the use case's `split`."
        )
    first_validation = days[-held_out]
    first_test = days[-split.test_days]
    parts = Splits(
        train=frame[frame["day"] < first_validation],
        validation=frame[(frame["day"] >= first_validation) & (frame["day"] < first_test)],
        test=frame[frame["day"] >= first_test],
    )
    if len(parts.train) < split.minimum_rows:
        raise DataError(
            f"There are {len(parts.train):,} rows to train on, and the use case asks for "
            f"{split.minimum_rows:,}. Publish more days, or lower `split.minimum_rows`."
        )
    for name, part in (("training", parts.train), ("test", parts.test)):
        if pd.api.types.is_integer_dtype(part["target"]) and part["target"].nunique() < 2:
            raise DataError(
                f"All {len(part):,} {name} rows have the same class, {part['target'].iloc[0]}. "
                "Publish more days, or correct `label.above` in the use case."
            )
    return parts
