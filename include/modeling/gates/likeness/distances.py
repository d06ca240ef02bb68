"""Distances between two samples of one feature, with the probability that chance explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

if TYPE_CHECKING:
    from include.modeling.evaluation.bootstrap import Values

# Categories with fewer rows in both samples together are counted as one, so that chi-squared holds.
MIN_ROWS_PER_CATEGORY = 10


class Distance(NamedTuple):
    """
    Distance of two samples of a feature.

    Attributes
    ----------
    distance : float
        From 0, the same, to 1, apart.
    p_value : float
        Probability of one at least as large, if both samples have one distribution.
    kind : str
        What differs most: `values` or `missing`.
    """

    distance: float
    p_value: float
    kind: str


def measure_distance(train: pd.Series[Any], production: pd.Series[Any]) -> Distance:
    """
    Return the distance of the values, or of the shares of missing values, whichever is larger.

    Parameters
    ----------
    train, production : Series, shape (n,) and (m,)
        Values of one feature, with rows in both.
    """
    missing = _missing_distance(train.isna().to_numpy(), production.isna().to_numpy())
    old = train.dropna()
    new = production.dropna()
    if old.empty or new.empty:
        return missing
    if pd.api.types.is_numeric_dtype(train) and not pd.api.types.is_bool_dtype(train):
        values = _number_distance(old.to_numpy(dtype=np.float64), _as_numbers(new))
    else:
        values = _category_distance(old, new)
    return max(values, missing, key=lambda distance: distance.distance)


def _as_numbers(values: pd.Series[Any]) -> Values:
    numbers: Values = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def _number_distance(old: Values, new: Values) -> Distance:
    """Return the Kolmogorov-Smirnov distance: the largest difference of the shares below a number."""
    if not len(new):
        return Distance(1.0, 0.0, "values")
    result = ks_2samp(old, new, method="asymp")
    return Distance(float(result.statistic), float(result.pvalue), "values")


def _category_distance(old: pd.Series[Any], new: pd.Series[Any]) -> Distance:
    """Return the total variation distance, and the p-value of chi-squared without rare categories."""
    counts = pd.DataFrame(
        {"old": old.astype(str).value_counts(), "new": new.astype(str).value_counts()}
    ).fillna(0)
    is_rare = counts.sum(axis=1) < MIN_ROWS_PER_CATEGORY
    table = counts[~is_rare]
    if is_rare.any():
        table = pd.concat([table, counts[is_rare].sum().to_frame("rare").T])
    if len(table) < 2:
        return Distance(0.0, 1.0, "values")
    shares = table / table.sum()
    distance = float((shares["old"] - shares["new"]).abs().sum() / 2)
    return Distance(distance, float(chi2_contingency(table.to_numpy()).pvalue), "values")


def _missing_distance(old: Any, new: Any) -> Distance:
    """Return the difference of the shares of missing values, with Fisher's exact test."""
    table = [[int(old.sum()), int((~old).sum())], [int(new.sum()), int((~new).sum())]]
    distance = abs(float(old.mean()) - float(new.mean()))
    return Distance(distance, float(fisher_exact(table).pvalue), "missing")
