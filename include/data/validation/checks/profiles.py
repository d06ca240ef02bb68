"""Profiles of columns, and the population stability index of one against another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Array = np.ndarray[Any, Any]
    Profile = Counter[Any] | Array
    Profiles = Mapping[str, Profile]

CATEGORIES = 20
NULL = -1


def population_stability_index(reference: Profile, current: Profile) -> float:
    """
    Return the population stability index of `current` against `reference`.

    Numbers are put into the deciles of the reference, other values into its 20 most frequent and the rest;
    nulls are a class of their own. Below 0.1 nothing happened, above 0.25 the population is another one
    (Siddiqi, Credit Risk Scorecards, 2006).
    """
    if isinstance(reference, Counter):
        categories = [value for value, _ in reference.most_common(CATEGORIES) if value is not None]
        old = _shares_by_category(reference, categories)
        new = _shares_by_category(Counter(current), categories)
    else:
        edges = _deciles(reference)
        old = _shares_by_decile(reference, edges)
        new = _shares_by_decile(np.asarray(current, dtype=float), edges)
    return float(np.sum((new - old) * np.log(new / old)))


def profile(values: pd.Series[Any]) -> Profile:
    """Return what is compared of a column: its numbers (n,), or how often each other value occurs."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers: Array = values.to_numpy(dtype=float, na_value=np.nan)
        return numbers
    counts = Counter(values.astype(object).value_counts().to_dict())
    counts[None] = int(values.isna().sum())
    return counts


def merged(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all rows of several profiles."""
    if isinstance(profiles[0], Counter):
        return sum((Counter(part) for part in profiles), start=Counter())
    return np.concatenate([np.asarray(part, dtype=float) for part in profiles])


def profile_size(values: Profile) -> int:
    """Return the number of rows that a profile describes."""
    return values.total() if isinstance(values, Counter) else len(values)


def has_values(values: Profile) -> bool:
    """Return whether a profile describes any value that is not null."""
    if isinstance(values, Counter):
        return values.total() > values[None]
    return not bool(np.isnan(values).all())


def _deciles(values: Array) -> Array:
    finite = values[np.isfinite(values)]
    return np.unique(np.quantile(finite, np.arange(0.1, 1, 0.1))) if finite.size else finite


def _shares_by_decile(values: Array, edges: Array) -> Array:
    classes = np.where(np.isnan(values), NULL, np.searchsorted(edges, values, side="right"))
    return _shares(np.bincount(classes + 1, minlength=len(edges) + 2))


def _shares_by_category(counts: Counter[Any], categories: Sequence[Any]) -> Array:
    named = [counts[None], *(counts[category] for category in categories)]
    return _shares(np.asarray([*named, counts.total() - sum(named)]))


def _shares(counts: Array) -> Array:
    # Half a row more in each class: a class without rows is not impossible, and log(0) is not finite.
    smoothed = counts + 0.5
    shares: Array = smoothed / smoothed.sum()
    return shares
