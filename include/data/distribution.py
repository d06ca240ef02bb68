"""Whether a partition resembles those before it: in its number of rows, and in its values' distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.expectations import OF_DAYS, Check, finding
from include.data.places import Place
from include.partitions import name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from include.data.findings import Outcome
    from include.data.lake import Lake
    from include.declarations import Dataset, Severity, Usual
    from include.partitions import Partition

    Array = np.ndarray[Any, Any]

REFERENCE_ROWS = 500_000  # read at most about so many, spread over the partitions
COMPARED_ROWS = 100_000
ENOUGH_ROWS = 200  # with fewer, chance alone makes an index of 0.1
CATEGORIES = 20
NULL = -1


@dataclass(frozen=True)
class History:
    """What was published before: how many rows each partition has, and some of their rows."""

    counts: Mapping[Partition, int] = field(default_factory=dict)
    rows: Mapping[Partition, pd.DataFrame] = field(default_factory=dict, repr=False)


def history(lake: Lake, dataset: Dataset, partitions: Collection[Partition]) -> History:
    """Return what the lake has of the partitions before each of `partitions`, and not of themselves."""
    usual = dataset.usual
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
    usual: Usual,
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
    own = {day: looked_at[places == place] for place, day in enumerate(partitions)} if usual.columns else {}
    sizes = np.bincount(places[places >= 0], minlength=len(partitions))
    counts = dict(past.counts) | {day: int(sizes[place]) for place, day in enumerate(partitions)}
    rows = dict(past.rows) | own
    found = _Found(usual)
    for day in sorted(partitions):
        before = _before(counts, day, usual.partitions)
        if len(before) < usual.minimum_partitions:
            found.unknown[name(day)] = f"{len(before)} partitions before it"
            continue
        found.volume(day, counts[day], median(counts[one] for one in before))
        for column in usual.columns:
            found.distribution(day, column, [rows[one] for one in before if one in rows], own[day])
    return found.outcomes()


def stability(reference: pd.Series[Any], current: pd.Series[Any]) -> float:
    """
    Return the population stability index of `current` against `reference`.

    Numbers are put into the reference's tenths, other values into its 20 most frequent and the rest; nulls
    are a class of their own. Below 0.1 nothing happened, above 0.25 another population answers (Siddiqi,
    Credit Risk Scorecards, 2006).
    """
    one, other = _thin(reference), _thin(current)
    if pd.api.types.is_numeric_dtype(one) and not pd.api.types.is_bool_dtype(one):
        classes = [_tenths(one, values) for values in (one, other)]
    else:
        classes = [_kinds(one, values) for values in (one, other)]
    size = max(int(place.max()) for place in classes) + 2
    old, new = (_shares(place, size) for place in classes)
    return float(np.sum((new - old) * np.log(new / old)))


class _Found:
    """What the comparisons of all partitions said."""

    def __init__(self, usual: Usual) -> None:
        self.usual = usual
        self.unknown: dict[str, str] = {}
        self.volumes: dict[str, str] = {}
        self.indices: dict[str, dict[str, float]] = {column: {} for column in usual.columns}
        self.compared = 0

    def volume(self, day: Partition, rows: int, usually: float) -> None:
        self.compared += 1
        low, high = self.usual.volume or (0.0, math.inf)
        if not low * usually <= rows <= high * usually:
            self.volumes[name(day)] = f"{rows:,} rows, usually {usually:,.0f}"

    def distribution(
        self, day: Partition, column: str, before: Sequence[pd.DataFrame], now: pd.DataFrame
    ) -> None:
        old = [part[column] for part in before if column in part.columns]
        rows = min(sum(len(part) for part in old), len(now))
        if rows < ENOUGH_ROWS:
            self.unknown[f"{name(day)}, {column}"] = f"{rows} rows to compare"
        else:
            self.indices[column][name(day)] = stability(pd.concat(old, ignore_index=True), now[column])

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
            found.append(_outcome("partitions_before", told, self.unknown, "info"))
        return found


def _outcome(
    measured: str, told: str, failed: Mapping[str, Any], severity: Severity, **bounds: Any
) -> Outcome:
    result = {
        "unexpected_count": len(failed),
        "partial_unexpected_list": list(failed.values()),
        "unexpected_index_list": list(failed),
    }
    outcome = finding(
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


def _read(lake: Lake, dataset: Dataset, partitions: Sequence[Partition]) -> dict[Partition, pd.DataFrame]:
    columns = [*(dataset.usual.columns if dataset.usual else ())]
    place = Place.of(partitions)
    rows = lake.read(dataset.name, partitions, columns=[*dict.fromkeys((*place.columns, *columns))])
    by_name = {str(key): part[columns] for key, part in rows.groupby(place.names_of(rows), sort=False)}
    return {day: by_name[name(day)] for day in partitions if name(day) in by_name}


def _thin(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.iloc[:: max(1, len(values) // COMPARED_ROWS)]


def _tenths(reference: pd.Series[Any], values: pd.Series[Any]) -> Array:
    known = reference.to_numpy(dtype=float, na_value=np.nan)
    known = known[np.isfinite(known)]
    edges = np.unique(np.quantile(known, np.arange(0.1, 1, 0.1))) if known.size else known
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isnan(numbers), NULL, np.searchsorted(edges, numbers, side="right"))


def _kinds(reference: pd.Series[Any], values: pd.Series[Any]) -> Array:
    frequent = reference.astype(object).value_counts().index[:CATEGORIES]
    places = {kind: place for place, kind in enumerate(frequent)}
    found = values.astype(object).map(places).fillna(len(places)).to_numpy(dtype=int)
    return np.where(values.isna(), NULL, found)


def _shares(places: Array, size: int) -> Array:
    counts = np.bincount(places + 1, minlength=size) + 0.5  # nothing is impossible, only not seen yet
    shares: Array = counts / counts.sum()
    return shares
