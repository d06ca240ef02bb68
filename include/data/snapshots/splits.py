"""Splits by time into training, validation and test rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from include.declarations import Split


@dataclass(frozen=True, slots=True)
class Splits:
    """Rows for fitting, for choosing and for testing a model: disjoint days, in this order."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def split_rows(
    frame: pd.DataFrame, split: Split, *, lag_days: int, class_names: Sequence[str] = ()
) -> Splits:
    """
    Split rows by day: the last `test_days` are test, the `validation_days` before validation, the rest
    training.

    `embargo_days` before validation and before test are not used, by default the label's `lag_days`: on the
    morning of the first day after them, their labels had not landed. `class_names` are those of a classifier
    by code.

    Raises
    ------
    DataError
        If there are too few days or rows, or the training or test rows of a classifier have only one class.
    """
    embargo = lag_days if split.embargo_days is None else split.embargo_days
    days = sorted(frame["day"].unique())
    test = days[-split.test_days :]
    early = _before(days, test[0], embargo) if len(days) > split.test_days else []
    validation = early[-split.validation_days :] if split.validation_days else []
    train = _before(early, validation[0], embargo) if validation else early
    if not train or len(validation) < split.validation_days:
        raise DataError(
            f"There are {len(days)} days of labelled rows; validation and test need "
            f"{split.validation_days + split.test_days}, each after an embargo of {embargo}, and training "
            "needs at least one more. Publish more days, or lower the days in the use case's `split`."
        )
    train_rows, validation_rows, test_rows = (
        frame[frame["day"].isin(part)] for part in (train, validation, test)
    )
    parts = Splits(train_rows, validation_rows, test_rows)
    if len(parts.train) < split.minimum_rows:
        raise DataError(
            f"There are {len(parts.train):,} training rows; the use case needs {split.minimum_rows:,}. "
            "Publish more days, or lower `split.minimum_rows`."
        )
    for name, part in (("training", parts.train), ("test", parts.test)):
        if class_names and part["target"].nunique() < 2:
            raise DataError(
                f"All {len(part):,} {name} rows are {class_names[int(part['target'].iloc[0])]}. "
                "Publish more days, or correct the use case's `label`."
            )
    return parts


def _before(days: list[str], first: str, embargo: int) -> list[str]:
    """Return the `days` that lie more than `embargo` days before the day `first`."""
    end = date.fromisoformat(first) - timedelta(days=embargo)
    return [day for day in days if date.fromisoformat(day) < end]
