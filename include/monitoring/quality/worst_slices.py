"""Worst slice of a window, of the slices that the gates declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from include.declarations.metrics import is_greater_better
from include.modeling.evaluation.bootstrap import UnitBootstrap
from include.modeling.evaluation.metrics import compute_metrics
from include.modeling.evaluation.metrics.resampled import resample_metric
from include.modeling.evaluation.slices import slice_rows

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

    from include.declarations import Fairness, UseCase

    Values = npt.NDArray[np.float64]

ALPHA = 0.05


def find_worst_slices(
    use_case: UseCase, target: Values, predictions: Values, *, rows: pd.DataFrame, trained: pd.DataFrame
) -> list[dict[str, Any]]:
    """
    Return the worst slice of each fairness gate, by the metric of the use case.

    Slices with fewer rows than the gate's `minimum_support` do not count. Gates whose columns the rows lack
    are left out.

    Parameters
    ----------
    target, predictions
        Rows of the window, (n,) and (n,) or (n, n_classes).
    rows, trained
        Columns of the slices of the window (n, k) and of the training (m, k).

    Returns
    -------
    list of dict
        `by`, `slice`, `rows`, `metric`, `value`, `interval` and `overall`, the value of all rows. The
        interval holds with 95 % for all slices of the gate; `is_worse` is True if it is worse than `overall`.
    """
    gates = [gate for gate in use_case.gates if gate.kind == "fairness"]
    worst = [
        _find_worst(gate, use_case, target, predictions, rows, trained)
        for gate in gates
        if set(gate.columns) <= set(rows.columns)
    ]
    return [figures for figures in worst if figures]


def _find_worst(
    gate: Fairness,
    use_case: UseCase,
    target: Values,
    predictions: Values,
    rows: pd.DataFrame,
    trained: pd.DataFrame,
) -> dict[str, Any]:
    metric = use_case.metric
    slices = slice_rows(rows, trained, gate.columns, gate.bins)
    names = slices.to_numpy(dtype=object)
    sizes = slices.value_counts()
    values: dict[Any, float] = {}
    for name in sizes.index[sizes >= gate.minimum_support]:
        is_inside = names == name
        figures = compute_metrics(use_case, predictions[is_inside], target[is_inside], only={metric})
        if np.isfinite(figures.get(metric, np.nan)):
            values[name] = figures[metric]
    if len(values) < 2:
        return {}
    greater = is_greater_better(metric)
    worst = (min if greater else max)(values, key=lambda name: values[name])
    is_inside = names == worst
    units = UnitBootstrap.of_rows(int(is_inside.sum()))
    statistic = resample_metric(metric, target[is_inside], predictions[is_inside], units)
    confidence = 1 - ALPHA / (2 * len(values))
    lower, upper = units.interval(statistic, confidence=confidence, value=values[worst])
    overall = compute_metrics(use_case, predictions, target, only={metric})[metric]
    return {
        "by": gate.by,
        "slice": str(worst),
        "rows": int(is_inside.sum()),
        "metric": metric,
        "value": values[worst],
        "interval": (lower, upper),
        "overall": overall,
        "is_worse": bool(upper < overall if greater else lower > overall),
    }
