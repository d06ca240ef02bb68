"""The newest check of each declared table, as metrics for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import Metric

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from include.database.table_checks import NewestCheck


class DataChecks:
    """A collector of the newest checks: when they were, whether they passed, and how many rows they saw."""

    def __init__(self, checks: Mapping[str, NewestCheck]) -> None:
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """Yield a gauge for each figure, with a label for the table."""
        at = Metric("airworthy_data_checked_timestamp_seconds", "When the table was checked last", "gauge")
        passed = Metric("airworthy_data_check_passed", "Whether the newest check passed", "gauge")
        rows = Metric("airworthy_data_rows", "Rows that the newest check saw", "gauge")
        rejected = Metric("airworthy_data_rejected_rows", "Rows that the newest check refused", "gauge")
        for table, check in self._checks.items():
            figures = (check.at.timestamp(), float(check.passed), check.rows, check.quarantined)
            for metric, figure in zip((at, passed, rows, rejected), figures, strict=True):
                metric.add_sample(metric.name, {"table": table}, figure)
        yield from (at, passed, rows, rejected)
