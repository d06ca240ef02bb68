"""A model with a defect that only many calls show: it never returns the connections that it takes."""

from __future__ import annotations

from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

# Connections of a process. Gates and staging make fewer calls, a rollout under live traffic makes more.
POOL_SIZE = 600
# Value of what is missing, and of a category that was not learnt.
MISSING = -1.0


class LeakingModel(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """
    Gradient boosting that takes a connection for each call, as if it looked something up, and keeps it.

    It predicts well. Once a process has made `POOL_SIZE` calls, every further one fails.

    Parameters
    ----------
    categories
        Names of the features that are text.
    """

    def __init__(self, categories: tuple[str, ...] = ()) -> None:
        self.categories = categories

    def fit(self, frame: pd.DataFrame, target: npt.ArrayLike) -> Self:
        """Fit on features `frame` (n rows) and 0 or 1 in `target` (n,)."""
        from sklearn.ensemble import GradientBoostingClassifier

        self.codes_ = {name: _number_categories(frame[name]) for name in self.categories}
        self.boosting_ = GradientBoostingClassifier(
            n_estimators=30,
            learning_rate=0.2,
            max_depth=4,
            min_samples_leaf=100,
            subsample=0.2,
            random_state=0,
        )
        self.boosting_.fit(self._encode(frame), target)
        self.classes_ = self.boosting_.classes_
        return self

    def predict_proba(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probabilities (n, 2)."""
        self._take_connection()
        probabilities: npt.NDArray[np.float64] = self.boosting_.predict_proba(self._encode(frame))
        return probabilities

    def predict(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """Return the more probable class (n,)."""
        classes: npt.NDArray[Any] = self.classes_[self.predict_proba(frame).argmax(axis=1)]
        return classes

    def __getstate__(self) -> dict[str, Any]:
        # Each process has a pool of its own.
        return {name: value for name, value in super().__getstate__().items() if name != "_pool"}

    def _take_connection(self) -> None:
        pool = self.__dict__.setdefault("_pool", BoundedSemaphore(POOL_SIZE))
        # The defect: there is no release().
        if not pool.acquire(blocking=False):
            raise RuntimeError(f"no connection is free: all {POOL_SIZE} are taken")

    def _encode(self, frame: pd.DataFrame) -> npt.NDArray[np.float64]:
        columns = []
        for name in frame.columns:
            values = frame[name].map(self.codes_[name]) if name in self.codes_ else frame[name]
            columns.append(values.to_numpy(dtype=np.float64, na_value=np.nan))
        rows: npt.NDArray[np.float64] = np.nan_to_num(np.column_stack(columns), nan=MISSING)
        return rows


def _number_categories(values: pd.Series[Any]) -> dict[str, float]:
    return {value: float(number) for number, value in enumerate(sorted(values.dropna().unique()))}
