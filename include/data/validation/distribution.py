"""Checks that a partition resembles those before it: in its number of rows and in its distributions."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import PartitionSet
from include.data.validation.results import partition_result
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from include.data.lake.delta_tables import Lake
    from include.data.validation.batch import Batch
    from include.data.validation.results import Check, CheckResult
    from include.declarations import Dataset, Stability
    from include.partitions import Partition

    Array = np.ndarray[Any, Any]
    Profile = Counter[Any] | Array
    Profiles = Mapping[str, Profile]

# Rows of the reference that are read at most, about; they are spread over the partitions.
REFERENCE_ROWS = 500_000
# Values of one partition and column that are compared at most, about.
COMPARED_ROWS = 100_000
# With fewer rows, chance alone makes an index of 0.1.
ENOUGH_ROWS = 200
CATEGORIES = 20
NULL = -1


@dataclass(frozen=True)
class History:
    """
    Published partitions before those that are validated.

    Attributes
    ----------
    counts : mapping of Partition to int
        Number of rows of every partition.
    profiles : mapping of Partition to mapping of str to Profile
        Profile by column, of some of the partitions.
    """

    counts: Mapping[Partition, int] = field(default_factory=dict)
    profiles: Mapping[Partition, Profiles] = field(default_factory=dict, repr=False)

    def counts_with(self, batch: Batch) -> dict[Partition, int]:
        """Return the number of rows of the published partitions and of those of the batch."""
        rows = zip(batch.partitions.partitions, batch.count_rows().tolist(), strict=True)
        return dict(self.counts) | dict(rows)


@dataclass(frozen=True)
class RowCountCheck:
    """Each partition has `stability.volume` times the median number of rows of the partitions before it."""

    stability: Stability
    history: History

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the partitions with too few or too many rows, or None if none could be compared."""
        if self.stability.volume is None:
            return None
        minimum, maximum = self.stability.volume
        counts = self.history.counts_with(batch)
        references = _references(self.stability, counts, batch)
        failed = []
        for partition, earlier in references.items():
            median_rows = median(counts[day] for day in earlier)
            rows = counts[partition]
            if not minimum * median_rows <= rows <= maximum * median_rows:
                failed.append((format_partition(partition), f"{rows:,} rows, usually {median_rows:,.0f}"))
        if not references:
            return None
        return partition_result(
            "expect_column_values_to_be_between",
            "rows_against_usual",
            failed,
            message=f"a partition has not {minimum:g} to {maximum:g} times the usual rows",
            severity=self.stability.severity,
            parameters={"min_value": minimum, "max_value": maximum},
        )


@dataclass(frozen=True)
class DistributionCheck:
    """The population stability index of `column` against the partitions before is at most `maximum_psi`."""

    stability: Stability
    history: History
    column: str

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the partitions with too high an index, or None if none could be compared."""
        counts = self.history.counts_with(batch)
        profiles = self._profiles(batch)
        sizes = _sizes(self.history, batch, self.column)
        indices: dict[str, float] = {}
        for partition, earlier in _references(self.stability, counts, batch).items():
            if _compared_rows(sizes, partition, earlier) < ENOUGH_ROWS:
                continue
            reference = merged([profiles[day] for day in earlier if day in profiles])
            indices[format_partition(partition)] = population_stability_index(reference, profiles[partition])
        if not indices:
            return None
        maximum = self.stability.maximum_psi
        return partition_result(
            "expect_column_values_to_be_between",
            f"stability_index_of_{self.column}",
            [(day, round(index, 3)) for day, index in indices.items() if index > maximum],
            message=f"{self.column} is distributed otherwise than in the partitions before",
            severity=self.stability.severity,
            parameters={"max_value": maximum},
        )

    def _profiles(self, batch: Batch) -> dict[Partition, Profile]:
        published = {
            day: profiles[self.column]
            for day, profiles in self.history.profiles.items()
            if self.column in profiles
        }
        values = batch.frame[self.column]
        validated = {
            partition: profile(values[batch.positions == position])
            for position, partition in enumerate(batch.partitions.partitions)
        }
        return published | validated


@dataclass(frozen=True)
class ReferenceSizeCheck:
    """There are enough partitions before each partition, with enough rows, to compare it with."""

    stability: Stability
    history: History

    def run(self, batch: Batch) -> CheckResult | None:
        """Return what was not compared, for information, or None if everything was."""
        not_compared = self._not_compared(batch)
        if not not_compared:
            return None
        minimum = self.stability.minimum_partitions
        return partition_result(
            "expect_column_values_to_be_between",
            "partitions_before",
            not_compared,
            message=(
                f"there is too little to compare with ({minimum} partitions are needed, "
                f"{ENOUGH_ROWS} rows of a distribution): what is usual was not checked"
            ),
            severity="info",
            parameters={"min_value": minimum},
        )

    def _not_compared(self, batch: Batch) -> list[tuple[str, str]]:
        counts = self.history.counts_with(batch)
        references = _references(self.stability, counts, batch)
        sizes = {column: _sizes(self.history, batch, column) for column in self.stability.columns}
        not_compared = []
        for partition in batch.partitions.partitions:
            if partition not in references:
                n_earlier = len(_partitions_before(counts, partition, self.stability.partitions))
                not_compared.append((format_partition(partition), f"{n_earlier} partitions before it"))
                continue
            for column in self.stability.columns:
                rows = _compared_rows(sizes[column], partition, references[partition])
                if rows < ENOUGH_ROWS:
                    not_compared.append(
                        (f"{format_partition(partition)}, {column}", f"{rows} rows to compare")
                    )
        return not_compared


def stability_checks(stability: Stability, history: History) -> list[Check]:
    """
    Return the checks that compare each partition with those before it.

    Those are the published ones and the earlier ones of the same run, never the partition itself.
    """
    distributions = [DistributionCheck(stability, history, column) for column in stability.columns]
    return [
        RowCountCheck(stability, history),
        *distributions,
        ReferenceSizeCheck(stability, history),
    ]


def read_history(lake: Lake, dataset: Dataset, partitions: Collection[Partition]) -> History:
    """Return the published partitions before each of `partitions`, without those themselves."""
    stability = dataset.stability
    if stability is None:
        return History()
    newest = max(partitions)
    excluded = set(partitions)
    counts = {
        day: rows for day, rows in lake.counts(dataset.name).items() if day < newest and day not in excluded
    }
    needed: set[Partition] = set()
    for partition in partitions:
        needed.update(_partitions_before(counts, partition, stability.partitions))
    if not stability.columns or len(needed) < stability.minimum_partitions:
        return History(counts)
    chosen = _thinned(sorted(needed, reverse=True), counts, stability.minimum_partitions)
    return History(counts, _read_profiles(lake, dataset.name, stability.columns, chosen))


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
        thinned = values.iloc[:: max(1, len(values) // COMPARED_ROWS)]
        numbers: Array = thinned.to_numpy(dtype=float, na_value=np.nan)
        return numbers
    counts = Counter(values.astype(object).value_counts().to_dict())
    counts[None] = int(values.isna().sum())
    return counts


def merged(profiles: Sequence[Profile]) -> Profile:
    """Return the profile of all rows of several profiles."""
    if isinstance(profiles[0], Counter):
        return sum((Counter(part) for part in profiles), start=Counter())
    return np.concatenate([np.asarray(part, dtype=float) for part in profiles])


def _references(
    stability: Stability, counts: Mapping[Partition, int], batch: Batch
) -> dict[Partition, list[Partition]]:
    """Return the partitions before each partition of the batch that has enough of them."""
    references = {}
    for partition in batch.partitions.partitions:
        earlier = _partitions_before(counts, partition, stability.partitions)
        if len(earlier) >= stability.minimum_partitions:
            references[partition] = earlier
    return references


def _partitions_before(days: Iterable[Partition], partition: Partition, count: int) -> list[Partition]:
    return sorted(day for day in days if day < partition)[-count:]


def _sizes(history: History, batch: Batch, column: str) -> dict[Partition, int]:
    """Return the number of rows that there are to compare of each partition."""
    published = {
        day: _size(profiles[column]) for day, profiles in history.profiles.items() if column in profiles
    }
    rows = zip(batch.partitions.partitions, batch.count_rows().tolist(), strict=True)
    return published | dict(rows)


def _compared_rows(sizes: Mapping[Partition, int], partition: Partition, earlier: Sequence[Partition]) -> int:
    """Return the number of rows on the smaller side of a comparison."""
    return min(sum(sizes.get(day, 0) for day in earlier), sizes[partition])


def _thinned(
    newest_first: Sequence[Partition], counts: Mapping[Partition, int], minimum: int
) -> list[Partition]:
    total = sum(counts[day] for day in newest_first)
    step = max(1, min(math.ceil(total / REFERENCE_ROWS), len(newest_first) // minimum))
    return list(newest_first[::step])


def _read_profiles(
    lake: Lake, table: str, columns: Sequence[str], partitions: Sequence[Partition]
) -> dict[Partition, Profiles]:
    requested = PartitionSet.of(partitions)
    rows = lake.read(table, partitions, columns=[*dict.fromkeys((*requested.columns, *columns))])
    profiles: dict[str, Profiles] = {}
    for day, part in rows.groupby(requested.partition_of(rows), sort=False):
        profiles[str(day)] = {column: profile(part[column]) for column in columns}
    return {day: profiles[format_partition(day)] for day in partitions if format_partition(day) in profiles}


def _size(values: Profile) -> int:
    return values.total() if isinstance(values, Counter) else len(values)


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
