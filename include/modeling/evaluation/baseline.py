"""Baseline: predictions without a model, from the targets of similar training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.snapshots.target_encoding import TARGET
from include.declarations.metrics import baseline_quantile
from include.inference.baseline_table import BaselineTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.declarations import UseCase
    from include.modeling.evaluation.bootstrap import Values

# The mean of fewer rows of a slot is chance.
MIN_SLOT_ROWS = 20
# Of a packaged baseline; the slots with the fewest rows are left out.
MAX_PACKAGED_SLOTS = 5_000


def baseline_predictions(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    """
    Return for each frame the mean target of each row's slot in `train`, by `baseline_by` of the use case.

    It is the median where the metric is an absolute or relative error, the quantile of a quantile loss, and
    of several classes the share of each.
    A slot with fewer than `MIN_SLOT_ROWS` training rows has the mean of all training rows.

    Parameters
    ----------
    use_case : UseCase
    train : DataFrame, shape (n_train, n_columns)
        Training rows with the columns `TARGET` and those of `baseline_by`.
    *frames : DataFrame, shape (n, n_columns)
        Rows to predict.

    Returns
    -------
    list of arrays, shape (n,) or (n, n_classes)
    """
    if use_case.task != "multiclass":
        return _predict_by_slot(use_case, train, *frames)
    shares = [_predict_by_slot(use_case, rows, *frames) for rows in _one_against_rest(use_case, train)]
    return [np.column_stack(columns) for columns in zip(*shares, strict=True)]


def baseline_table(use_case: UseCase, train: pd.DataFrame) -> BaselineTable:
    """Return the baseline as a table that a server can look up; see `baseline_predictions`."""
    if use_case.task != "multiclass":
        overall, slots = _slot_values(use_case, train)
        values: dict[Any, Any] = slots.to_dict()
        return BaselineTable(use_case.baseline_by, overall, _plain_keys(values))
    tables = [_slot_values(use_case, rows) for rows in _one_against_rest(use_case, train)]
    shares = pd.DataFrame({code: slots for code, (_, slots) in enumerate(tables)})
    rows = dict(zip(shares.index, shares.to_numpy(dtype=np.float64).tolist(), strict=True))
    return BaselineTable(use_case.baseline_by, [overall for overall, _ in tables], _plain_keys(rows))


def _one_against_rest(use_case: UseCase, train: pd.DataFrame) -> list[pd.DataFrame]:
    """Return the rows once for each class, with the target 1 for rows of the class and 0 for others."""
    codes = range(len(use_case.class_names))
    return [train.assign(**{TARGET: (train[TARGET] == code).astype(np.float64)}) for code in codes]


def _predict_by_slot(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    overall, values = _slot_values(use_case, train, most=None)
    if not use_case.baseline_by:
        return [np.full(len(frame), overall) for frame in frames]
    return [_look_up(values, frame, list(use_case.baseline_by), overall) for frame in frames]


def _slot_values(
    use_case: UseCase, train: pd.DataFrame, *, most: int | None = MAX_PACKAGED_SLOTS
) -> tuple[float, pd.Series[float]]:
    """Return the mean target, or its quantile, of all rows and of each slot; at most the `most` largest."""
    quantile = baseline_quantile(use_case.metric)
    target = train[TARGET]
    overall = float(target.mean() if quantile is None else target.quantile(quantile))
    if not use_case.baseline_by:
        return overall, pd.Series(dtype=np.float64)
    slots = train.groupby(list(use_case.baseline_by), observed=True)[TARGET]
    of_slots = slots.mean() if quantile is None else slots.quantile(quantile)
    sizes = slots.size()
    large = sizes[sizes >= MIN_SLOT_ROWS]
    if most is not None:
        large = large.nlargest(most).sort_index()
    return overall, of_slots[large.index]


def _plain_keys(values: dict[Any, Any]) -> dict[tuple[object, ...], Any]:
    """Return the values by tuples whose members can be written as JSON."""
    plain = {}
    for slot, value in values.items():
        key = slot if isinstance(slot, tuple) else (slot,)
        plain[tuple(_plain(member) for member in key)] = value
    return plain


def _plain(member: object) -> object:
    member = member.item() if isinstance(member, np.generic) else member
    return member if isinstance(member, bool | int | float | str) else str(member)


def _look_up(values: pd.Series[float], frame: pd.DataFrame, columns: Sequence[str], default: float) -> Values:
    if len(columns) == 1:
        keys = pd.Index(frame[columns[0]])
    else:
        keys = pd.MultiIndex.from_frame(frame[list(columns)])
    positions = values.index.get_indexer(keys)
    # The position -1 of an absent slot indexes the last value.
    with_default = np.append(values.to_numpy(dtype=np.float64), default)
    return np.asarray(with_default[positions])
