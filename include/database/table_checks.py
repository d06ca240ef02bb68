"""The newest check of each dataset or feature view in `gate_result`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import ARRAY, Text, and_, bindparam, func, not_, select, true

from include.database.tables import gate_result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

# The check of a view that rebuilds some of its rows; if it passes, it says nothing of all of them.
LEAKAGE_CHECK = "expect_features_to_be_known_in_time"


@dataclass(frozen=True, slots=True)
class NewestCheck:
    """What a check found: the partitions and rows that it saw, and how many rows it refused."""

    at: datetime
    partition: str
    passed: bool
    rows: int
    quarantined: int


def newest_checks(
    connection: Connection, tables: Iterable[str], *, until: datetime | None = None
) -> dict[str, NewestCheck]:
    """Return the newest check, or that until a moment, of each of these tables that has one, by its name."""
    values = bindparam("names", list(tables), ARRAY(Text))
    names = func.unnest(values).table_valued("name").render_derived()
    check = gate_result.c
    found_no_leak = and_(check.passed, check.results.contains([{"expectation": LEAKAGE_CHECK}]))
    newest = (
        select(check.at, check.partition, check.passed, check.rows, check.quarantined)
        .where(check.subject == names.c.name, not_(found_no_leak), check.at <= until if until else true())
        .order_by(check.id.desc())
        .limit(1)
        .lateral()
    )
    query = select(names.c.name, newest).select_from(names.join(newest, true()))
    return {row.name: NewestCheck(*row[1:]) for row in connection.execute(query)}
