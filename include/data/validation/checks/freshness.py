"""Check that the newest moment of a partition is near the partition's end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from include.data.validation.results import partition_result
from include.data.validation.statistics import StatisticsCheck
from include.partitions import format_partition

if TYPE_CHECKING:
    from include.data.validation.results import CheckResult
    from include.data.validation.statistics import AcceptedStatistics
    from include.declarations import Freshness

ONE_DAY = timedelta(days=1)
UNIT_SECONDS = {"day": 86_400, "hour": 3_600, "minute": 60}


@dataclass(frozen=True)
class FreshnessCheck(StatisticsCheck):
    """
    The newest moment of each partition is at most `freshness.within` older than the partition's end.

    A newest moment that is later than the end by more than `within` and more than a day fails, too: a moment
    in the future says nothing about how fresh the other rows are.
    """

    freshness: Freshness

    def result(self, statistics: AcceptedStatistics) -> CheckResult:
        """Return the partitions that are not fresh."""
        within = self.freshness.within
        newest = statistics.newest(self.freshness.column)
        partitions = statistics.partitions.partitions
        failed = []
        for partition, moment in zip(partitions, newest, strict=True):
            end = statistics.calendar.end_of(partition)
            if moment is None:
                failed.append((format_partition(partition), "no moment at all"))
            elif not end - within <= moment <= end + max(within, ONE_DAY):
                failed.append((format_partition(partition), str(moment)))
        return partition_result(
            "expect_column_max_to_be_between",
            self.freshness.column,
            failed,
            message=(
                f"the newest {self.freshness.column} is not within {format_duration(within)} "
                "of the partition's end"
            ),
            severity=self.freshness.severity,
            parameters={"min_value": str(statistics.calendar.end_of(partitions[0]) - within)},
            observed=str(max((moment for moment in newest if moment is not None), default=None)),
        )


def format_duration(duration: timedelta) -> str:
    """Return a duration in its largest whole unit: `6 hours`, `2 days`."""
    for unit, seconds in UNIT_SECONDS.items():
        number = duration.total_seconds() / seconds
        if number >= 1 and number.is_integer():
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return f"{duration.total_seconds():g} seconds"
