"""Cut rows by time: a model is judged on days after those that it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
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


def split_rows(frame: pd.DataFrame, split: Split, *, lag_days: int) -> Splits:
    """
    Return the last `test_days` days as test, the `validation_days` before as validation, the rest as train.

    Before validation and before test `embargo_days` are left out, by default the `lag_days` of the label: on
    the morning of the first day that follows, their labels had not landed.

    :raises DataError: if there are too few days or rows, or training or test rows have one class only
    """
    embargo = lag_days if split.embargo_days is None else split.embargo_days
    days = sorted(frame["day"].unique())
    test = days[-split.test_days :]
    early = _before(days, test[0], embargo) if len(days) > split.test_days else []
    validation = early[-split.validation_days :] if split.validation_days else []
    train = _before(early, validation[0], embargo) if validation else early
    if not train or len(validation) < split.validation_days:
        raise DataError(
            f"There are {len(days)} days of labelled rows, and {split.validation_days + split.test_days} are "
            f"held out for validation and test, each after an embargo of {embargo}. "
            "Publish more days, or ask for fewer in the use case's `split`."
        )
    train_rows, validation_rows, test_rows = (
        frame[frame["day"].isin(part)] for part in (train, validation, test)
    )
    parts = Splits(train_rows, validation_rows, test_rows)
    if len(parts.train) < split.minimum_rows:
        raise DataError(
            f"There are {len(parts.train):,} rows to train on, and the use case asks for "
            f"{split.minimum_rows:,}. Publish more days, or lower `split.minimum_rows`."
        )
    for name, part in (("training", parts.train), ("test", parts.test)):
        if pd.api.types.is_integer_dtype(part["target"]) and part["target"].nunique() < 2:
            raise DataError(
                f"All {len(part):,} {name} rows have the same class, {part['target'].iloc[0]}. "
                "Publish more days, or correct the use case's `label`."
            )
    return parts


def _before(days: list[str], first: str, embargo: int) -> list[str]:
    """Return those of `days` that end at least `embargo` whole days before `first` begins."""
    end = date.fromisoformat(first) - timedelta(days=embargo)
    return [day for day in days if date.fromisoformat(day) < end]
