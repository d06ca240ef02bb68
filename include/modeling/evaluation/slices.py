"""Slices of rows: by category, by bins of a number, or by both of two columns; and metrics of each slice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.declarations import RATES
from include.modeling.evaluation.metrics import explain_undefined, metric_function, undefined_metrics
from include.modeling.evaluation.metrics.resampled import resample_mean, resample_metric

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from include.declarations import Rate, UseCase
    from include.modeling.evaluation.bootstrap import UnitBootstrap, UnitStatistic, Values
    from include.modeling.evaluation.evidence import Figure

    Item = Mapping[str, Figure | None]
    Positions = npt.NDArray[np.intp]

MISSING = "missing"
# A number with more distinct values is divided into bins.
MAX_DISTINCT = 31


@dataclass(frozen=True, slots=True)
class SlicedRows:
    """Rows of a split: `slices` (n,) categorical, `target` (n,), `predictions` and their units."""

    slices: pd.Series[Any]
    target: Values
    predictions: Values
    units: UnitBootstrap

    @property
    def positions(self) -> dict[Any, Positions]:
        """Positions of the rows of each slice."""
        rows = pd.Series(range(len(self.slices))).groupby(self.slices, observed=True)
        return {name: np.asarray(positions) for name, positions in rows.indices.items()}

    def spread(self, statistic: UnitStatistic) -> float | None:
        """Return the standard error of a figure over the resampled units; None if it cannot be told."""
        resamples = statistic(self.units.weights)
        resamples = resamples[np.isfinite(resamples)]
        if len(resamples) < 2 or self.units.count < 2:
            return None
        return float(resamples.std() * np.sqrt(self.units.count / (self.units.count - 1)))

    def units_of(self, positions: Positions) -> UnitBootstrap:
        """Return the units of some of the rows; all units of the split are drawn."""
        return replace(self.units, codes=self.units.codes[positions])


def slice_rows(frame: pd.DataFrame, train: pd.DataFrame, columns: Sequence[str], bins: int) -> pd.Series[Any]:
    """
    Return the slice of each row of `frame` (n,) as a category: its values of `columns`, joined.

    Parameters
    ----------
    frame, train : DataFrame
        Rows to slice, and training rows, whose quantiles divide numbers.
    columns : sequence of str
    bins : int
        Bins of a number with more than `MAX_DISTINCT` values in the training rows.
    """
    names = [_slice_by(frame[column], train[column], bins) for column in columns]
    if len(names) == 1:
        return names[0]
    texts = zip(*(name.astype(str) for name in names), strict=True)
    return pd.Series([" and ".join(values) for values in texts], dtype="category")


def _slice_by(values: pd.Series[Any], train: pd.Series[Any], bins: int) -> pd.Series[Any]:
    is_number = pd.api.types.is_numeric_dtype(train) and not pd.api.types.is_bool_dtype(train)
    if not is_number or train.nunique() <= MAX_DISTINCT:
        return slice_names(values)
    numbers_seen = train.dropna().to_numpy(dtype=np.float64)
    edges = np.unique(np.quantile(numbers_seen, np.linspace(0, 1, bins + 1)[1:-1]))
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    codes = np.where(np.isnan(numbers), len(edges) + 1, np.searchsorted(edges, numbers, "right"))
    bounds = [f"{edge:.6g}" for edge in edges]
    if len(set(bounds)) < len(bounds):
        bounds = [repr(float(edge)) for edge in edges]
    inner = [f"{low} to {high}" for low, high in pairwise(bounds)]
    texts = [f"below {bounds[0]}", *inner, f"from {bounds[-1]}", MISSING]
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(texts)))


def slice_names(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return the slice of each row as a category; distinct values are few, so only these become text."""
    codes, distinct = pd.factorize(values.astype(object))
    texts = np.asarray([*(str(value) for value in distinct), MISSING], dtype=object)
    text_codes, names = pd.factorize(texts, sort=True)
    # The code -1 of a missing value indexes the last text.
    return pd.Series(pd.Categorical.from_codes(text_codes[codes], pd.Index(names)))


def rates_by_slice(
    rates: Sequence[Rate], slices: Any, target: Values, decisions: npt.NDArray[np.bool_]
) -> list[dict[str, Figure | None]]:
    """
    Return Fairlearn's rates of each slice.

    The rows are counted first and Fairlearn weighs the counts, which gives the same rates in one pass.

    Parameters
    ----------
    rates : sequence of Rate
        Names of functions of `fairlearn.metrics`.
    slices : array-like, shape (n,)
        Slice of each row.
    target : array of float, shape (n,)
        1 for the positive class.
    decisions : array of bool, shape (n,)
        Whether the prediction reaches the threshold.
    """
    from fairlearn import metrics as fairlearn

    frame = pd.DataFrame({"slice": slices, "target": target == 1, "decision": decisions})
    cells = frame.groupby(["slice", "target", "decision"], observed=True).size().reset_index(name="rows")
    weights = {"sample_weight": cells["rows"]}
    values = fairlearn.MetricFrame(
        metrics={rate: getattr(fairlearn, rate) for rate in rates},
        y_true=cells["target"].astype(int),
        y_pred=cells["decision"].astype(int),
        sensitive_features=cells["slice"].astype(str),
        sample_params=dict.fromkeys(rates, weights),
    ).by_group
    by_slice = frame.groupby("slice", observed=True)
    sizes = by_slice.size()
    positives = by_slice["target"].sum()
    # The rows that a rate is a share of.
    support = {
        "selection_rate": sizes,
        "true_positive_rate": positives,
        "false_positive_rate": sizes - positives,
    }
    items: list[dict[str, Figure | None]] = []
    for rate in rates:
        for name, value in values[rate].items():
            rows = int(support[rate][name])
            items.append({"slice": str(name), "metric": rate, "value": float(value), "rows": rows})
    return items


def measure_rates(rates: Sequence[Rate], rows: SlicedRows, threshold: float, minimum: int) -> list[Item]:
    """Return the rates of each slice with their standard errors; those of fewer than `minimum` rows too."""
    decisions = rows.predictions >= threshold
    items = rates_by_slice([rate for rate in RATES if rate in rates], rows.slices, rows.target, decisions)
    counted = {"true_positive_rate": rows.target == 1, "false_positive_rate": rows.target != 1}
    positions = {str(name): where for name, where in rows.positions.items()}
    for item in items:
        if int(item["rows"] or 0) < minimum:
            continue
        where = positions[str(item["slice"])]
        share_of = counted.get(str(item["metric"]))
        if share_of is not None:
            where = where[share_of[where]]
        rate = resample_mean(decisions[where].astype(np.float64), rows.units_of(where))
        item["spread"] = rows.spread(rate)
    return list(items)


def metrics_by_slice(metrics: Sequence[str], use_case: UseCase, rows: SlicedRows, minimum: int) -> list[Item]:
    """Return metrics of each slice with their standard errors; `why` one is undefined, in words."""
    items: list[Item] = []
    for name, where in rows.positions.items():
        target = rows.target[where]
        predictions = rows.predictions[where]
        undefined = undefined_metrics(use_case, predictions, target)
        for metric in sorted(set(metrics) - set(RATES)):
            item: dict[str, Figure | None] = {"slice": str(name), "metric": metric, "rows": len(where)}
            if metric in undefined:
                item |= {"value": None, "why": undefined[metric]}
            elif len(where) >= minimum:
                value = float(metric_function(metric)(target, predictions))
                if math.isfinite(value):
                    statistic = resample_metric(metric, target, predictions, rows.units_of(where))
                    item |= {"value": value, "spread": rows.spread(statistic)}
                else:
                    item |= {"value": None, "why": explain_undefined(use_case, metric, predictions, target)}
            items.append(item)
    return items
