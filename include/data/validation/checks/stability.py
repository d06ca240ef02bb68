"""Checks that a partition resembles those before it: in its number of rows and in its distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from heapq import nlargest
from itertools import dropwhile
from statistics import median
from typing import TYPE_CHECKING

import pyarrow as pa

from include.data.lake.partition_columns import PartitionSet
from include.data.validation.batch import Batch
from include.data.validation.checks.profiles import (
    has_values,
    merged,
    population_stability_index,
    profile,
    profile_size,
)
from include.data.validation.results import partition_result
from include.data.validation.statistics import AcceptedStatistics, StatisticsCheck
from include.partitions import format_partition, start_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from include.data.lake.delta_tables import Lake
    from include.data.validation.checks.profiles import Profile, Profiles
    from include.data.validation.results import CheckResult
    from include.data.validation.statistics import TableCheck
    from include.declarations import Dataset, FeatureView, Stability
    from include.declarations.data.checks import Comparison
    from include.partitions import Partition

# Rows of the reference that are read at most, about; they are spread over the partitions.
REFERENCE_ROWS = 500_000
# With fewer rows, chance alone makes an index of 0.1.
ENOUGH_ROWS = 200


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

    def counts_with(self, statistics: AcceptedStatistics) -> dict[Partition, int]:
        """Return the number of rows of the published partitions and of those that are validated."""
        rows = zip(statistics.partitions.partitions, statistics.rows.tolist(), strict=True)
        return dict(self.counts) | dict(rows)

    def profiles_of(self, column: str) -> dict[Partition, Profile]:
        """Return the profiles of a column; empty if the table has no such column."""
        return {day: profiles[column] for day, profiles in self.profiles.items() if column in profiles}


@dataclass(frozen=True)
class RowCountCheck(StatisticsCheck):
    """Each partition has `stability.volume` times the median number of rows of the partitions before it."""

    stability: Stability
    history: History

    def result(self, statistics: AcceptedStatistics) -> CheckResult | None:
        """Return the partitions with too few or too many rows, or None if none could be compared."""
        if self.stability.volume is None:
            return None
        minimum, maximum = self.stability.volume
        counts = self.history.counts_with(statistics)
        references = _references(self.stability, counts, statistics)
        failed = []
        for partition, earlier in references.items():
            median_rows = median(counts[day] for day in earlier)
            rows = counts[partition]
            # Of a table that usually has no rows, any number would be too many for ever.
            if median_rows and not minimum * median_rows <= rows <= maximum * median_rows:
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
class DistributionCheck(StatisticsCheck):
    """The population stability index of `column` against the partitions before is at most `maximum_psi`."""

    stability: Stability
    history: History
    column: str

    def result(self, statistics: AcceptedStatistics) -> CheckResult | None:
        """Return the partitions with too high an index, or None if none could be compared."""
        references = _column_references(self.stability, self.history, statistics, self.column)
        comparable = {partition: days for partition, days in references.items() if not isinstance(days, str)}
        if not comparable:
            return None
        profiles = self._profiles(statistics)
        indices = {}
        for partition, days in comparable.items():
            reference = merged([profiles[day] for day in days])
            indices[format_partition(partition)] = population_stability_index(reference, profiles[partition])
        maximum = self.stability.maximum_psi
        return partition_result(
            "expect_column_values_to_be_between",
            f"stability_index_of_{self.column}",
            [(day, round(index, 3)) for day, index in indices.items() if index > maximum],
            message=f"{self.column} is distributed otherwise than in the partitions before",
            severity=self.stability.severity,
            parameters={"max_value": maximum},
        )

    def _profiles(self, statistics: AcceptedStatistics) -> dict[Partition, Profile]:
        validated = {
            partition: profile(statistics.sample(self.column, position))
            for position, partition in enumerate(statistics.partitions.partitions)
        }
        return self.history.profiles_of(self.column) | validated


@dataclass(frozen=True)
class ReferenceSizeCheck(StatisticsCheck):
    """There are enough partitions before each partition, with enough rows, to compare it with."""

    stability: Stability
    history: History

    def result(self, statistics: AcceptedStatistics) -> CheckResult | None:
        """Return what was not compared, for information, or None if everything was."""
        not_compared = self._not_compared(statistics)
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

    def _not_compared(self, statistics: AcceptedStatistics) -> list[tuple[str, str]]:
        counts = self.history.counts_with(statistics)
        references = _references(self.stability, counts, statistics)
        not_compared = []
        for partition in statistics.partitions.partitions:
            if partition not in references:
                n_earlier = len(_partitions_before(counts, partition, self.stability))
                not_compared.append((format_partition(partition), f"{n_earlier} partitions before it"))
            elif self.stability.volume and not median(counts[day] for day in references[partition]):
                not_compared.append((format_partition(partition), "usually 0 rows"))
        for column in self.stability.columns:
            for partition, days in _column_references(
                self.stability, self.history, statistics, column
            ).items():
                if isinstance(days, str):
                    not_compared.append((f"{format_partition(partition)}, {column}", days))
        return not_compared


def stability_checks(stability: Stability, history: History) -> list[TableCheck]:
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


def read_history(lake: Lake, declared: Dataset | FeatureView, partitions: Collection[Partition]) -> History:
    """Return the published partitions before each of `partitions`, without those themselves."""
    stability = declared.stability
    if stability is None:
        return History()
    newest = max(partitions)
    excluded = set(partitions)
    counts = {
        day: rows for day, rows in lake.counts(declared.name).items() if day < newest and day not in excluded
    }
    needed: set[Partition] = set()
    for partition in partitions:
        needed.update(_partitions_before(counts, partition, stability))
    if not stability.columns or len(needed) < stability.minimum_partitions:
        return History(counts)
    # A column that is watched from today on is not in the table yet.
    columns = sorted(set(stability.columns) & set(lake.scan(declared.name, []).schema.names))
    chosen = _thinned(sorted(needed, reverse=True), counts, stability.minimum_partitions)
    return History(counts, _read_profiles(lake, declared.name, columns, chosen))


def _references(
    stability: Stability, counts: Mapping[Partition, int], statistics: AcceptedStatistics
) -> dict[Partition, list[Partition]]:
    """Return the partitions before each validated partition that has enough of them."""
    references = {}
    for partition in statistics.partitions.partitions:
        earlier = _partitions_before(counts, partition, stability)
        if len(earlier) >= stability.minimum_partitions:
            references[partition] = earlier
    return references


def _column_references(
    stability: Stability, history: History, statistics: AcceptedStatistics, column: str
) -> dict[Partition, list[Partition] | str]:
    """
    Return, for each partition that has a reference, the partitions that `column` is compared with.

    Instead of too few of them, the reason is returned. The oldest partitions without any value do not count:
    the column came later.
    """
    rows = {day: profile_size(values) for day, values in history.profiles_of(column).items()}
    rows |= dict(zip(statistics.partitions.partitions, statistics.rows.tolist(), strict=True))
    is_valued = {day: has_values(values) for day, values in history.profiles_of(column).items()}
    valued_rows = statistics.rows - statistics.nulls(column)
    is_valued |= dict(zip(statistics.partitions.partitions, (valued_rows > 0).tolist(), strict=True))
    references: dict[Partition, list[Partition] | str] = {}
    for partition, earlier in _references(stability, history.counts_with(statistics), statistics).items():
        existing = [day for day in earlier if day in rows]
        usable = list(dropwhile(lambda day: not is_valued[day], existing))
        n_rows = min(sum(rows[day] for day in usable), rows[partition])
        # Of a long history only some partitions are read.
        n_partitions = len(usable) * len(earlier) / len(existing) if existing else 0
        if n_partitions < stability.minimum_partitions:
            references[partition] = f"{n_partitions:.0f} partitions with values before it"
        elif n_rows < ENOUGH_ROWS:
            references[partition] = f"{n_rows} rows to compare"
        else:
            references[partition] = usable
    return references


def _partitions_before(
    days: Iterable[Partition], partition: Partition, stability: Stability
) -> list[Partition]:
    """Return the newest comparable partitions before `partition`, ascending."""
    season = _season(partition, stability.compare_with)
    earlier = (day for day in days if day < partition and _season(day, stability.compare_with) == season)
    return nlargest(stability.partitions, earlier)[::-1]


def _season(partition: Partition, compare_with: Comparison) -> tuple[int | None, int | None]:
    """Return weekday and hour of a partition, as far as `compare_with` distinguishes them."""
    start = start_of(partition)
    weekday = start.weekday() if "weekday" in compare_with else None
    return weekday, start.hour if "hour" in compare_with else None


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
    reader = lake.scan(table, partitions, columns=[*dict.fromkeys((*requested.columns, *columns))])
    statistics = AcceptedStatistics(Batch.of(reader.schema.empty_table(), partitions), sampled=columns)
    for batch in reader:
        statistics.add(Batch.of(pa.Table.from_batches([batch]), partitions))
    profiles: dict[Partition, Profiles] = {}
    for position, partition in enumerate(requested.partitions):
        if statistics.rows[position]:
            profiles[partition] = {column: profile(statistics.sample(column, position)) for column in columns}
    return profiles
