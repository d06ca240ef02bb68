"""How much each training row counts: rare classes and recent days may count more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_sample_weight

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.declarations import Training


def sample_weights(training: Training, frame: pd.DataFrame) -> npt.NDArray[np.float64] | None:
    """
    Return one weight per row of `frame` (with `day` and `target`), 1 on average; None if all count alike.

    Of two rows, the one that is `half_life_days` older counts half as much.
    """
    if training.class_weights is None and training.half_life_days is None:
        return None
    weights = np.ones(len(frame))
    if training.half_life_days is not None:
        days = pd.to_datetime(frame["day"])
        age = (days.max() - days) / pd.Timedelta(days=1)
        weights *= np.exp2(-age.to_numpy(dtype=np.float64) / training.half_life_days)
    if training.class_weights is not None:
        weights *= compute_sample_weight(_of_classes(training), frame["target"])
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def _of_classes(training: Training) -> str | dict[int, float]:
    given = training.class_weights
    return dict(enumerate(given)) if isinstance(given, tuple) else "balanced"
