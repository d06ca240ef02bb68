"""Fit a use case's estimator on the training rows, and on nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from include.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from include.data.splits import Splits
    from include.declarations import UseCase


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted estimator, the seconds it took and the rows it saw."""

    estimator: Any
    seconds: float
    rows: int


def fit(use_case: UseCase, estimator: Any, splits: Splits) -> Trained:
    """
    Return `estimator`, fitted on `splits.train`; validation and test rows stay unseen.

    :raises DataError: if a feature is missing, the target has holes, or there is one class only
    """
    features, target = inputs(use_case, splits.train), splits.train["target"]
    if target.isna().any():
        raise DataError(
            f"{use_case.name}: {int(target.isna().sum())} of {len(target)} training rows have no target. "
            "Drop them where the snapshot is read."
        )
    if use_case.task == "classification" and target.nunique() < 2:
        raise DataError(
            f"{use_case.name}: all {len(target)} training rows have the target {target.iloc[:1].tolist()}. "
            f"Train on more days, or lower label.above (now {use_case.label.above})."
        )
    started = time.perf_counter()
    estimator.fit(features, target)
    return Trained(estimator, time.perf_counter() - started, len(target))


def inputs(use_case: UseCase, frame: pd.DataFrame) -> pd.DataFrame:
    """
    Return the features of `frame` in the declared order.

    :raises DataError: naming the features that `frame` does not have
    """
    missing = [feature for feature in use_case.features if feature not in frame.columns]
    if missing:
        raise DataError(
            f"{use_case.name}: the rows lack {', '.join(missing)}. Rebuild {use_case.feature_view}, "
            "or correct `features` in the use case."
        )
    return frame[list(use_case.features)]
