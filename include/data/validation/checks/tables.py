"""Checks of the accepted rows together: partitions, volume, quarantined share, nulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from include.data.lake.partition_columns import DAY, HOUR
from include.data.validation.checks.unique_keys import UniqueKeyCheck
from include.data.validation.results import partition_result, row_result
from include.data.validation.statistics import StatisticsCheck

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from include.data.validation.batch import Batch
    from include.data.validation.results import CheckResult
    from include.data.validation.statistics import AcceptedStatistics, TableCheck
    from include.declarations import Column


@dataclass(frozen=True)
class MissingDayCheck:
    """Every row names its day."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows without a day."""
        if not batch.n_rows:
            return None
        days = _others(batch)[DAY]
        result = row_result(
            "expect_column_values_to_not_be_null",
            DAY,
            days[days.isna()],
            message="a row has no day",
            checked_rows=batch.n_rows,
        )
        return result.blocking_if_critical()


@dataclass(frozen=True)
class UnexpectedDayCheck:
    """Every row is of a requested day."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows of other days."""
        if batch.frame.empty:
            return None
        requested = list(batch.partitions.by_day())
        days = batch.frame[DAY][~batch.is_requested]
        result = row_result(
            "expect_column_values_to_be_in_set",
            DAY,
            days[days.notna() & ~days.isin(requested)],
            message="a row is of a day that was not asked for",
            checked_rows=batch.n_rows,
            parameters={"value_set": requested},
        )
        return result.blocking_if_critical()


@dataclass(frozen=True)
class UnexpectedHourCheck:
    """Every row of a dataset that arrives by the hour is of a requested hour."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows of other hours, or None for a dataset that arrives by the day."""
        if HOUR not in batch.partitions.columns:
            return None
        others = _others(batch)
        result = row_result(
            "expect_column_values_to_be_in_set",
            HOUR,
            batch.partitions.partition_of(others),
            message="a row is of an hour that was not asked for",
            checked_rows=batch.n_rows,
            parameters={"value_set": sorted({name[-2:] for name in batch.partitions.names})},
        )
        return result.blocking_if_critical()


@dataclass(frozen=True)
class VolumeCheck(StatisticsCheck):
    """Every partition has from `volume[0]` to `volume[1]` accepted rows."""

    volume: tuple[int, int]

    def result(self, statistics: AcceptedStatistics) -> CheckResult:
        """Return the partitions with too few or too many rows."""
        minimum, maximum = self.volume
        counts = zip(statistics.partitions.names, statistics.rows, strict=True)
        return partition_result(
            "expect_column_values_to_be_between",
            "rows_per_day",
            [(name, int(count)) for name, count in counts if not minimum <= count <= maximum],
            message=f"a day does not have {minimum} to {maximum} good rows",
            parameters={"min_value": minimum, "max_value": maximum},
        )


@dataclass(frozen=True)
class QuarantineLimitCheck(StatisticsCheck):
    """At most the share `limit` of each partition's incoming rows was rejected."""

    limit: float

    def result(self, statistics: AcceptedStatistics) -> CheckResult:
        """Return the partitions with too many rejected rows."""
        rejected_rows = statistics.incoming_rows - statistics.rows
        shares = rejected_rows / statistics.incoming_rows.clip(min=1)
        share_by_name = zip(statistics.partitions.names, shares, strict=True)
        return partition_result(
            "expect_column_values_to_be_between",
            "refused_share_per_day",
            [(name, float(share)) for name, share in share_by_name if share > self.limit],
            message=f"more than {self.limit:.1%} of a day's rows were refused",
            parameters={"min_value": 0, "max_value": self.limit},
        )


@dataclass(frozen=True)
class NullsCheck(StatisticsCheck):
    """In no partition more than the share `column.maximum_nulls`, or every value, of a column is null."""

    column: Column

    def result(self, statistics: AcceptedStatistics) -> CheckResult | None:
        """Return the partitions with too many nulls, or None if the column is missing."""
        if self.column.name not in statistics.columns:
            return None
        limit = self.column.maximum_nulls
        rows = statistics.rows
        nulls = statistics.nulls(self.column.name)
        has_too_many = nulls == rows if limit is None else nulls > limit * rows
        failed = [
            (statistics.partitions.names[position], f"{nulls[position]:,} nulls of {rows[position]:,}")
            for position in np.flatnonzero((rows > 0) & has_too_many)
        ]
        return partition_result(
            "expect_column_values_to_not_be_null",
            self.column.name,
            failed,
            message=f"{self.column.name} {describe_null_limit(self.column)} in a partition",
            severity=self.column.severity,
            parameters={} if limit is None else {"maximum_nulls": limit},
            observed=f"{nulls.sum():,} nulls of {rows.sum():,}",
        )


def describe_null_limit(column: Column) -> str:
    """Return what is wrong with a column that has too many nulls."""
    limit = column.maximum_nulls
    if limit is None:
        return "has no value but null, which maximum_nulls=1 of the column would allow,"
    return f"is null in more than {limit:.1%} of the rows"


def table_checks(
    columns: Sequence[Column], key: Sequence[str], volume: tuple[int, int], limit: float
) -> list[TableCheck]:
    """Return the declared checks of the accepted rows together."""
    return [
        UniqueKeyCheck(tuple(key)),
        VolumeCheck(volume),
        QuarantineLimitCheck(limit),
        *[NullsCheck(column) for column in columns if column.nullable],
    ]


def _others(batch: Batch) -> pd.DataFrame:
    """Return the partition columns of the rows whose partition was not requested."""
    return batch.select(~batch.is_requested).frame_of(batch.partitions.columns)
