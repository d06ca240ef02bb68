"""Who made which partition, when, and in which version of its table: read from the commits of the lake."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from include.data.lake.delta_tables import Lake

_DAY = re.compile(r"'(\d{4}-\d{2}-\d{2})'")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that replaced these days of a table, and the DAG run and try that made it; "" if unknown."""

    table: str
    version: int
    at: datetime
    run: str
    attempt: str
    days: frozenset[date]


def list_commits(lake: Lake, table: str) -> list[Commit]:
    """Return the commits that replaced days of a table, oldest first; none if there is no such table."""
    opened = _open(lake, table)
    if opened is None:
        return []
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        history = opened.history()
    found = []
    for entry in reversed(history):
        days = _DAY.findall(entry.get("operationParameters", {}).get("predicate") or "")
        if entry["operation"] != "WRITE" or not days:
            continue  # made or compacted the table, and changed no row
        found.append(
            Commit(
                table=table,
                version=int(entry["version"]),
                at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                run=str(entry.get("run", "")),
                attempt=str(entry.get("try", "")),
                days=frozenset(map(date.fromisoformat, days)),
            )
        )
    return found


def producing_commit(
    found: Sequence[Commit], day: date, *, version: int | None = None, at: datetime | None = None
) -> Commit | None:
    """Return the commit that a day was of in a version of its table, or at a moment; by default now."""
    for commit in reversed(found):
        past = (version is None or commit.version <= version) and (at is None or commit.at <= at)
        if past and day in commit.days:
            return commit
    return None


def list_files(lake: Lake, table: str, days: Collection[date], *, version: int | None = None) -> list[str]:
    """Return the files, below the lake, that hold these days in a version of a table."""
    opened = _open(lake, table)
    if opened is None:
        return []
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        if version is not None:
            opened.load_as_version(version)
        added = pa.table(opened.get_add_actions(flatten=True)).select(["path", "partition.day"]).to_pylist()
    wanted = {day.isoformat() for day in days}
    return sorted(f"{table}/{file['path']}" for file in added if file["partition.day"] in wanted)


def _open(lake: Lake, table: str) -> DeltaTable | None:
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        try:
            return DeltaTable(
                f"{lake.uri.rstrip('/')}/{table}",
                storage_options=filesystem.with_timeouts(lake.uri, lake.storage_options),
            )
        except TableNotFoundError:
            return None
