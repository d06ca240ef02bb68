"""Splits into training, validation and test rows, by time or by entity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pandas as pd

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import numpy as np

    from include.declarations import Split

    Positions = np.ndarray[Any, np.dtype[np.float64]]

HASHES = 2.0**64
# No text key has this character in practice; two keys that do would only share a part.
KEY_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True)
class Splits:
    """Rows for fitting, for choosing and for testing a model: disjoint days in this order, or entities."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def split_rows(
    frame: pd.DataFrame,
    split: Split,
    *,
    entity: Sequence[str],
    embargo_days: int,
    class_names: Sequence[str] = (),
    last_days: int | None = None,
) -> Splits:
    """
    Split rows as `split` declares, by time or by entity.

    Parameters
    ----------
    frame
        Rows of a snapshot, with `day`, the columns `entity` and `target`.
    split
        Declared split.
    entity
        Columns of the entity.
    embargo_days
        Embargo of a split by time that declares none: days whose labels are not known on the day after them.
    class_names
        Classes of a classifier by code.
    last_days
        Length of the window of training rows, to the last training day; None for all rows.

    Raises
    ------
    DataError
        If there are too few days or rows, or the training or test rows of a classifier have only one class.
    """
    parts = _by_entity(frame, split, entity) if split.by == "entity" else _by_time(frame, split, embargo_days)
    if last_days is not None:
        parts = replace(parts, train=_window(parts.train, last_days))
    more = "Land a file of more rows" if split.by == "entity" else "Publish more days"
    if len(parts.train) < split.minimum_rows:
        raise DataError(
            f"There are {len(parts.train):,} training rows; the use case needs {split.minimum_rows:,}. "
            f"{more}, or lower `split.minimum_rows`{' or raise `training.last_days`' if last_days else ''}."
        )
    for name, part in (("training", parts.train), ("test", parts.test)):
        if class_names and part[TARGET].nunique() < 2:
            raise DataError(
                f"All {len(part):,} {name} rows are {class_names[int(part[TARGET].iloc[0])]}. "
                f"{more}, or correct the use case's `label`."
            )
    return parts


def entity_positions(frame: pd.DataFrame, entity: Sequence[str], seed: int) -> Positions:
    """
    Return a position from 0 to 1 for each row (n,), which depends on its entity and on `seed` only.

    Positions are uniform, and the same on every machine, whatever the type of the entity's column is.
    """
    keys = frame[entity[0]].astype(str).astype(object)
    for name in entity[1:]:
        keys = keys + KEY_SEPARATOR + frame[name].astype(str)
    hashes = pd.util.hash_pandas_object(keys, index=False, hash_key=f"{seed:016d}")
    positions: Positions = hashes.to_numpy(dtype="float64") / HASHES
    return positions


def _by_entity(frame: pd.DataFrame, split: Split, entity: Sequence[str]) -> Splits:
    """Split at random: the lowest positions are test, the next validation, the rest training."""
    positions = entity_positions(frame, entity, split.seed)
    is_test = positions < split.test_share
    is_validation = ~is_test & (positions < split.test_share + split.validation_share)
    parts = Splits(frame[~is_test & ~is_validation], frame[is_validation], frame[is_test])
    expected = {"training": True, "validation": split.has_validation, "test": True}
    sizes = zip(expected.items(), (parts.train, parts.validation, parts.test), strict=True)
    empty = [name for (name, is_expected), part in sizes if is_expected and not len(part)]
    if empty:
        raise DataError(
            f"There are {len(frame)} labelled rows; a random split by {', '.join(entity)} leaves none for "
            f"{' and '.join(empty)}. Land a file of more rows, or change the shares in the use case's "
            "`split`."
        )
    return parts


def _by_time(frame: pd.DataFrame, split: Split, embargo_days: int) -> Splits:
    """
    Split by day: the last `test_days` are test, the `validation_days` before validation, the rest training.

    So many days before validation and before test are not used: at the begin of the first day after them,
    their labels were not known.
    """
    embargo = embargo_days if split.embargo_days is None else split.embargo_days
    days = sorted(frame[DAY].unique())
    test = days[-split.test_days :]
    early = before_embargo(days, test[0], embargo) if len(days) > split.test_days else []
    validation = early[-split.validation_days :] if split.validation_days else []
    train = before_embargo(early, validation[0], embargo) if validation else early
    if not train or len(validation) < split.validation_days:
        raise DataError(
            f"There are {len(days)} days of labelled rows; validation and test need "
            f"{split.validation_days + split.test_days}, each after an embargo of {embargo}, and training "
            "needs at least one more. Publish more days, or lower the days in the use case's `split`."
        )
    rows = [frame[frame[DAY].isin(part)] for part in (train, validation, test)]
    return Splits(*rows)


def newest_days(days: Sequence[str], count: int | None) -> list[str]:
    """Return those of the sorted `days` that lie in the `count` days up to the last one; all without one."""
    if count is None or not days:
        return list(days)
    first = date.fromisoformat(days[-1]) - timedelta(days=count - 1)
    return [day for day in days if date.fromisoformat(day) >= first]


def _window(rows: pd.DataFrame, last_days: int) -> pd.DataFrame:
    return rows[rows[DAY].isin(newest_days(sorted(rows[DAY].unique()), last_days))]


def before_embargo(days: Sequence[str], first: str, embargo: int) -> list[str]:
    """Return the `days` that lie more than `embargo` days before the day `first`."""
    end = date.fromisoformat(first) - timedelta(days=embargo)
    return [day for day in days if date.fromisoformat(day) < end]
