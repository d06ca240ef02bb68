"""Own metrics: functions of target, predictions and weights that a use case names by import path."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from include.declarations.metrics import own_metric
from include.errors import ModelError
from include.user_code import team_errors

if TYPE_CHECKING:
    import numpy.typing as npt

    from include.modeling.evaluation.bootstrap import UnitBootstrap, UnitStatistic

    Values = npt.NDArray[np.float64]


def measure_own(metric: str, target: Values, predictions: Values, weights: Values | None = None) -> float:
    """
    Return the value of an own metric; NaN where its function says that it is undefined.

    Parameters
    ----------
    metric : str
        Import path of the function.
    target : array of float, shape (n,)
    predictions : array of float, shape (n,) or (n, n_classes)
    weights : array of float, shape (n,), optional
        How often each row counts; once where it is not given.

    Raises
    ------
    ModelError
        If the function raises, or returns no number.
    """
    counts = np.ones(len(target)) if weights is None else weights
    remedy = "Correct the function; it may return float('nan') where the metric is undefined."
    with team_errors(f"the metric {metric} of {len(target)} rows", remedy=remedy, error=ModelError):
        return float(own_metric(metric)(target, predictions, counts))


def resample_own(metric: str, target: Values, predictions: Values, units: UnitBootstrap) -> UnitStatistic:
    """
    Return an own metric as a function of the units' weights, NaN where it is undefined.

    Its function is called once for each resample, with the rows that were drawn.
    """

    def statistic(weights: Values) -> Values:
        values = [_measure_drawn(metric, target, predictions, row[units.codes]) for row in weights]
        return np.asarray(values, dtype=np.float64)

    return statistic


def _measure_drawn(metric: str, target: Values, predictions: Values, counts: Values) -> float:
    drawn = counts > 0
    # A resample of days may have no row of a slice.
    if not drawn.any():
        return math.nan
    return measure_own(metric, target[drawn], predictions[drawn], counts[drawn])
