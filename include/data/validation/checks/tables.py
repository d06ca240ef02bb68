"""Checks of the accepted rows together: keys, partitions, volume, quarantined share, nulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from include.data.lake.partition_columns import DAY, HOUR
from include.data.validation.results import partition_result, row_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.data.validation.batch import Batch
    from include.data.validation.results import Check, CheckResult
    from include.declarations import Column

# Name of the column of partition positions beside the key, while duplicates are sought.
POSITION = "_position"


@dataclass(frozen=True)
class UniqueKeyCheck:
    """
    No key occurs twice in a partition; rows with a null in their key are ignored.

    Not an expectation of Great Expectations: each of its calls hashes the whole frame, which costs more than
    this check.
    """

    key: tuple[str, ...]

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows that share their key with another row, or None without the columns of the key."""
        if batch.frame.empty or not set(self.key) <= set(batch.frame.columns):
            return None
        keys = batch.frame[list(self.key)]
        is_duplicate = keys.assign(**{POSITION: batch.positions}).duplicated(keep=False)
        duplicates = keys[is_duplicate & batch.is_requested].dropna()
        columns = ", ".join(dict.fromkeys((*batch.partitions.columns, *self.key)))
        result = row_result(
            "expect_compound_columns_to_be_unique",
            columns,
            duplicates.astype(str).agg(", ".join, axis=1) if len(duplicates) else pd.Series(dtype=object),
            message=f"the key ({', '.join(self.key)}) is there more than once",
            checked_rows=len(keys),
        )
        return result.blocking_if_critical()


@dataclass(frozen=True)
class MissingDayCheck:
    """Every row names its day."""

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the rows without a day."""
        if batch.frame.empty:
            return None
        days = batch.frame[DAY][~batch.is_requested]
        result = row_result(
            "expect_column_values_to_not_be_null",
            DAY,
            days[days.isna()],
            message="a row has no day",
            checked_rows=len(batch.frame),
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
            checked_rows=len(batch.frame),
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
        others = batch.frame[~batch.is_requested]
        result = row_result(
            "expect_column_values_to_be_in_set",
            HOUR,
            batch.partitions.partition_of(others),
            message="a row is of an hour that was not asked for",
            checked_rows=len(batch.frame),
            parameters={"value_set": sorted({name[-2:] for name in batch.partitions.names})},
        )
        return result.blocking_if_critical()


@dataclass(frozen=True)
class VolumeCheck:
    """Every partition has from `volume[0]` to `volume[1]` accepted rows."""

    volume: tuple[int, int]

    def run(self, batch: Batch) -> CheckResult:
        """Return the partitions with too few or too many rows."""
        minimum, maximum = self.volume
        counts = zip(batch.partitions.names, batch.count_rows(), strict=True)
        return partition_result(
            "expect_column_values_to_be_between",
            "rows_per_day",
            [(name, int(count)) for name, count in counts if not minimum <= count <= maximum],
            message=f"a day does not have {minimum} to {maximum} good rows",
            parameters={"min_value": minimum, "max_value": maximum},
        )


@dataclass(frozen=True)
class QuarantineLimitCheck:
    """At most the share `limit` of each partition's incoming rows was rejected."""

    limit: float

    def run(self, batch: Batch) -> CheckResult:
        """Return the partitions with too many rejected rows."""
        rejected_rows = batch.incoming_rows - batch.count_rows()
        shares = rejected_rows / batch.incoming_rows.clip(min=1)
        share_by_name = zip(batch.partitions.names, shares, strict=True)
        return partition_result(
            "expect_column_values_to_be_between",
            "refused_share_per_day",
            [(name, float(share)) for name, share in share_by_name if share > self.limit],
            message=f"more than {self.limit:.1%} of a day's rows were refused",
            parameters={"min_value": 0, "max_value": self.limit},
        )


@dataclass(frozen=True)
class NullsCheck:
    """In no partition more than the share `column.maximum_nulls`, or every value, of a column is null."""

    column: Column

    def run(self, batch: Batch) -> CheckResult | None:
        """Return the partitions with too many nulls, or None if the column is missing."""
        if self.column.name not in batch.frame.columns:
            return None
        limit = self.column.maximum_nulls
        rows = batch.count_rows()
        nulls = batch.count_rows(batch.frame[self.column.name].isna().to_numpy())
        has_too_many = nulls == rows if limit is None else nulls > limit * rows
        failed = [
            (batch.partitions.names[position], f"{nulls[position]:,} nulls of {rows[position]:,}")
            for position in np.flatnonzero((rows > 0) & has_too_many)
        ]
        return partition_result(
            "expect_column_values_to_not_be_null",
            self.column.name,
            failed,
            message=f"{self.column.name} {describe_null_limit(self.column)} in a partition",
            severity=self.column.severity,
        )


def describe_null_limit(column: Column) -> str:
    """Return what is wrong with a column that has too many nulls."""
    limit = column.maximum_nulls
    return "has no value but null" if limit is None else f"is null in more than {limit:.1%} of the rows"


def table_checks(
    columns: Sequence[Column], key: Sequence[str], volume: tuple[int, int], limit: float
) -> list[Check]:
    """Return the declared checks of the accepted rows together."""
    return [
        UniqueKeyCheck(tuple(key)),
        MissingDayCheck(),
        UnexpectedDayCheck(),
        VolumeCheck(volume),
        QuarantineLimitCheck(limit),
        *[NullsCheck(column) for column in columns if column.nullable],
    ]
