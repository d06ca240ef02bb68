"""Whether a partition resembles those before it: in its number of rows, and in its values' distribution."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import PartitionSet
from include.data.validation.expectations import OF_DAYS, Check, make_result
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from include.data.lake.delta_tables import Lake
    from include.data.validation.results import Outcome
    from include.declarations import Dataset, Severity, Stability
    from include.partitions import Partition

    Array = np.ndarray[Any, Any]
    Profile = Counter[Any] | Array
    Profiles = Mapping[str, Profile]

REFERENCE_ROWS = 500_000  # read at most about so many, spread over the partitions
COMPARED_ROWS = 100_000
ENOUGH_ROWS = 200  # with fewer, chance alone makes an index of 0.1
CATEGORIES = 20
NULL = -1


@dataclass(frozen=True)
class History:
    """What was published before: how many rows each partition has, and what some of them hold."""

    counts: Mapping[Partition, int] = field(default_factory=dict)
    profiles: Mapping[Partition, Profiles] = field(default_factory=dict, repr=False)


def read_history(lake: Lake, dataset: Dataset, partitions: Collection[Partition]) -> History:
    """Return what the lake has of the partitions before each of `partitions`, and not of themselves."""
    usual = dataset.stability
    if usual is None:
        return History()
    newest = max(partitions)
    counts = {day: rows for day, rows in lake.counts(dataset.name).items() if day < newest}
    counts = {day: rows for day, rows in counts.items() if day not in set(partitions)}
    needed = {day for one in partitions for day in _before(counts, one, usual.partitions)}
    if not usual.columns or len(needed) < usual.minimum_partitions:
        return History(counts)
    chosen = _thinned(sorted(needed, reverse=True), counts, usual.minimum_partitions)
    parts = _read(lake, dataset, chosen)
    return History(counts, parts)


def compare(
    usual: Stability,
    past: History,
    accepted: pd.DataFrame,
    places: Array,
    partitions: Sequence[Partition],
) -> list[Outcome]:
    """
    Return how each partition compares with those before it; `places[n]` is the partition of row n.

    The partitions before are the published ones and the earlier ones of the same run, never the partition
    itself. Where they are too few, or their rows, the outcome says so and is for information.
    """
    looked_at = accepted[list(usual.columns)]
    own = {day: _profiles(looked_at[places == place]) for place, day in enumerate(partitions)}
    sizes = np.bincount(places[places >= 0], minlength=len(partitions))
    counts = dict(past.counts) | {day: int(sizes[place]) for place, day in enumerate(partitions)}
    profiles = dict(past.profiles) | own
    found = _Found(usual)
    for day in sorted(partitions):
        before = _before(counts, day, usual.partitions)
        if len(before) < usual.minimum_partitions:
            found.unknown[format_partition(day)] = f"{len(before)} partitions before it"
            continue
        found.volume(day, counts[day], median(counts[one] for one in before))
        for column in usual.columns:
            found.distribution(day, column, [profiles[one] for one in before if one in profiles], own[day])
    return found.outcomes()


def population_stability_index(reference: Profile, current: Profile) -> float:
    """
    Return the population stability index of `current` against `reference`.

    Numbers are put into the reference's tenths, other values into its 20 most frequent and the rest; nulls
    are a class of their own. Below 0.1 nothing happened, above 0.25 another population answers (Siddiqi,
    Credit Risk Scorecards, 2006).
    """
    if isinstance(reference, Counter):
        kinds = [kind for kind, _ in reference.most_common(CATEGORIES) if kind is not None]
        old, new = (_by_kind(counts, kinds) for counts in (reference, Counter(current)))
    else:
        edges = _tenths(reference)
        old, new = (_by_tenth(values, edges) for values in (reference, np.asarray(current, dtype=float)))
    return float(np.sum((new - old) * np.log(new / old)))


def profile(values: pd.Series[Any]) -> Profile:
    """Return what is compared of a column: its numbers, or how often each other value occurs."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        thinned = values.iloc[:: max(1, len(values) // COMPARED_ROWS)]
        numbers: Array = thinned.to_numpy(dtype=float, na_value=np.nan)
        return numbers
    counts = Counter(values.astype(object).value_counts().to_dict())
    counts[None] = int(values.isna().sum())
    return counts


def merged(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all of the rows."""
    if isinstance(profiles[0], Counter):
        return sum((Counter(one) for one in profiles), start=Counter())
    return np.concatenate([np.asarray(one, dtype=float) for one in profiles])


class _Found:
    """What the comparisons of all partitions said."""

    def __init__(self, usual: Stability) -> None:
        self.usual = usual
        self.unknown: dict[str, str] = {}
        self.volumes: dict[str, str] = {}
        self.indices: dict[str, dict[str, float]] = {column: {} for column in usual.columns}
        self.compared = 0

    def volume(self, day: Partition, rows: int, usually: float) -> None:
        self.compared += 1
        low, high = self.usual.volume or (0.0, math.inf)
        if not low * usually <= rows <= high * usually:
            self.volumes[format_partition(day)] = f"{rows:,} rows, usually {usually:,.0f}"

    def distribution(self, day: Partition, column: str, before: Sequence[Profiles], now: Profiles) -> None:
        old = [one[column] for one in before if column in one]
        rows = min(sum(_size(one) for one in old), _size(now[column]))
        if rows < ENOUGH_ROWS:
            self.unknown[f"{format_partition(day)}, {column}"] = f"{rows} rows to compare"
        else:
            self.indices[column][format_partition(day)] = population_stability_index(merged(old), now[column])

    def outcomes(self) -> list[Outcome]:
        """Return one outcome for the volume, one per column, and one for what could not be compared."""
        usual, found = self.usual, []
        if usual.volume is not None and self.compared:
            told = "a partition has not {:g} to {:g} times the usual rows".format(*usual.volume)
            bounds = dict(zip(("min_value", "max_value"), usual.volume, strict=True))
            found.append(_outcome("rows_against_usual", told, self.volumes, usual.severity, **bounds))
        for column, indices in self.indices.items():
            if indices:
                high = {day: round(index, 3) for day, index in indices.items() if index > usual.maximum_psi}
                told = f"{column} is distributed otherwise than in the partitions before"
                bound = {"max_value": usual.maximum_psi}
                found.append(_outcome(f"stability_index_of_{column}", told, high, usual.severity, **bound))
        if self.unknown:
            told = (
                f"there is too little to compare with ({usual.minimum_partitions} partitions are needed, "
                f"{ENOUGH_ROWS} rows of a distribution): what is usual was not checked"
            )
            bound = {"min_value": usual.minimum_partitions}  # the page cannot be drawn without one
            found.append(_outcome("partitions_before", told, self.unknown, "info", **bound))
        return found


def _outcome(
    measured: str, told: str, failed: Mapping[str, Any], severity: Severity, **bounds: Any
) -> Outcome:
    result = {
        "unexpected_count": len(failed),
        "partial_unexpected_list": list(failed.values()),
        "unexpected_index_list": list(failed),
    }
    outcome = make_result(
        "expect_column_values_to_be_between",
        measured,
        success=not failed,
        result=result,
        severity=severity,
        **bounds,
    )
    return Check(None, OF_DAYS, told), outcome


def _before(days: Iterable[Partition], day: Partition, count: int) -> list[Partition]:
    return sorted(one for one in days if one < day)[-count:]


def _thinned(
    newest_first: Sequence[Partition], counts: Mapping[Partition, int], minimum: int
) -> list[Partition]:
    total = sum(counts[day] for day in newest_first)
    step = max(1, min(math.ceil(total / REFERENCE_ROWS), len(newest_first) // minimum))
    return list(newest_first[::step])


def _read(lake: Lake, dataset: Dataset, partitions: Sequence[Partition]) -> dict[Partition, Profiles]:
    columns = [*(dataset.stability.columns if dataset.stability else ())]
    place = PartitionSet.of(partitions)
    rows = lake.read(dataset.name, partitions, columns=[*dict.fromkeys((*place.columns, *columns))])
    by_name = {
        str(key): _profiles(part[columns]) for key, part in rows.groupby(place.partition_of(rows), sort=False)
    }
    return {day: by_name[format_partition(day)] for day in partitions if format_partition(day) in by_name}


def _profiles(rows: pd.DataFrame) -> Profiles:
    return {str(column): profile(rows[column]) for column in rows.columns}


def _size(one: Profile) -> int:
    return one.total() if isinstance(one, Counter) else len(one)


def _tenths(known: Array) -> Array:
    known = known[np.isfinite(known)]
    return np.unique(np.quantile(known, np.arange(0.1, 1, 0.1))) if known.size else known


def _by_tenth(values: Array, edges: Array) -> Array:
    places = np.where(np.isnan(values), NULL, np.searchsorted(edges, values, side="right"))
    return _shares(np.bincount(places + 1, minlength=len(edges) + 2))


def _by_kind(counts: Counter[Any], kinds: Sequence[Any]) -> Array:
    named = [counts[None], *(counts[kind] for kind in kinds)]
    return _shares(np.asarray([*named, counts.total() - sum(named)]))


def _shares(counts: Array) -> Array:
    seen = counts + 0.5  # nothing is impossible, only not seen yet
    shares: Array = seen / seen.sum()
    return shares
