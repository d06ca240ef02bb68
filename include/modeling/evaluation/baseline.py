"""What could be forecast without a model: what is usual in a slot, such as at this hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.declarations import UseCase
    from include.modeling.evaluation.bootstrap import Values

EPSILON = 20  # rows of a slot; the usual of fewer is chance


def baseline_predictions(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    """
    Return for each of `frames` the usual target of each row's slot in `train`, by `naive_by` of the use case.

    Usual is the mean, or the median where the absolute error counts, or of several classes the share of each.
    A slot that is rare in training, or not there, takes what is usual over all.
    """
    if use_case.task == "multiclass":
        shares = [_forecast(use_case, each, *frames) for each in _one_against_all(use_case, train)]
        return [np.column_stack(of_frame) for of_frame in zip(*shares, strict=True)]
    return _forecast(use_case, train, *frames)


def _one_against_all(use_case: UseCase, train: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for place, _ in enumerate(use_case.label.classes):
        yield train.assign(target=(train["target"] == place).astype(np.float64))


def _forecast(use_case: UseCase, train: pd.DataFrame, *frames: pd.DataFrame) -> list[Values]:
    usual = "median" if use_case.metric == "mae" else "mean"
    overall = float(train["target"].agg(usual))
    if not use_case.baseline_by:
        return [np.full(len(frame), overall) for frame in frames]
    by = list(use_case.baseline_by)
    slots = train.groupby(by, observed=True)["target"].agg([usual, "size"])
    known = slots.loc[slots["size"] >= EPSILON, usual]
    return [_look_up(known, frame, by, overall) for frame in frames]


def _look_up(known: pd.Series[float], frame: pd.DataFrame, by: Sequence[str], overall: float) -> Values:
    keys = pd.Index(frame[by[0]]) if len(by) == 1 else pd.MultiIndex.from_frame(frame[list(by)])
    places = known.index.get_indexer(keys)
    values = np.append(known.to_numpy(dtype=np.float64), overall)
    return np.asarray(values[places])  # -1, of what is not there, is the last
