"""Weights of training rows by class and by age."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_sample_weight

from include.data.lake.partition_columns import DAY
from include.data.snapshots.target_encoding import TARGET

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import Training


def sample_weights(training: Training, frame: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """
    Return the weights of training rows, 1 on average.

    Of two rows, the one that is `half_life_days` older counts half as much.

    Parameters
    ----------
    training
        Declared class weights and half-life in days.
    frame
        Training rows (n) with the columns `DAY` and `TARGET`.

    Returns
    -------
    ndarray of float64, shape (n,), or None
        None if neither class weights nor a half-life are declared.
    """
    if training.class_weights is None and training.half_life_days is None:
        return None
    weights = np.ones(len(frame))
    if training.half_life_days is not None:
        days = pd.to_datetime(frame[DAY])
        age_days = (days.max() - days) / pd.Timedelta(days=1)
        weights *= np.exp2(-age_days.to_numpy(dtype=np.float64) / training.half_life_days)
    if training.class_weights is not None:
        weights *= compute_sample_weight(_class_weights(training), frame[TARGET])
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def _class_weights(training: Training) -> str | dict[int, float]:
    declared = training.class_weights
    return dict(enumerate(declared)) if isinstance(declared, tuple) else "balanced"
