"""The newest check of each declared table, as metrics for Prometheus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import Metric
from sqlalchemy import ARRAY, Text, bindparam, func, select, true

from include.database.tables import gate_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What the newest check of a dataset or feature view found."""

    at: datetime
    passed: bool
    rows: int
    rejected: int


def newest_checks(connection: Connection, tables: Iterable[str]) -> dict[str, DataCheck]:
    """Return the newest check of each of these tables that was ever checked, by its name."""
    values = bindparam("names", list(tables), ARRAY(Text))
    names = func.unnest(values).table_valued("name").render_derived()
    newest = (
        select(gate_result.c.at, gate_result.c.passed, gate_result.c.rows, gate_result.c.quarantined)
        .where(gate_result.c.subject == names.c.name)
        .order_by(gate_result.c.id.desc())
        .limit(1)
        .lateral()
    )
    query = select(names.c.name, newest).select_from(names.join(newest, true()))
    return {row.name: DataCheck(*row[1:]) for row in connection.execute(query)}


class DataChecks:
    """A collector of the newest checks: when they were, whether they passed, and how many rows they saw."""

    def __init__(self, checks: Mapping[str, DataCheck]) -> None:
        self._checks = checks

    def collect(self) -> Iterator[Metric]:
        """Yield a gauge for each figure, with a label for the table."""
        at = Metric("airworthy_data_checked_timestamp_seconds", "When the table was checked last", "gauge")
        passed = Metric("airworthy_data_check_passed", "Whether the newest check passed", "gauge")
        rows = Metric("airworthy_data_rows", "Rows that the newest check saw", "gauge")
        rejected = Metric("airworthy_data_rejected_rows", "Rows that the newest check refused", "gauge")
        for table, check in self._checks.items():
            figures = (check.at.timestamp(), float(check.passed), check.rows, check.rejected)
            for metric, figure in zip((at, passed, rows, rejected), figures, strict=True):
                metric.add_sample(metric.name, {"table": table}, figure)
        yield from (at, passed, rows, rejected)
