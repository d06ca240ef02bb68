"""Producers of partitions: which run wrote a day, when, and in which version, read from the commits."""

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
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from include.data.lake.delta_tables import Lake

_DAY = re.compile(r"'(\d{4}-\d{2}-\d{2})'")


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit that replaced `days` of a table, and the DAG run and try that made it; "" if unknown."""

    table: str
    version: int
    at: datetime
    run: str
    attempt: str
    days: frozenset[date]


def list_commits(lake: Lake, table: str) -> list[Commit]:
    """Return the commits that replaced days of a table, oldest first; empty without a table."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = _find(lake, table)
        history = opened.history() if opened is not None else []
    commits = (_parse_commit(table, entry) for entry in reversed(history))
    return [commit for commit in commits if commit is not None]


def producing_commit(
    commits: Sequence[Commit], day: date, *, version: int | None = None, at: datetime | None = None
) -> Commit | None:
    """
    Return the commit that wrote the rows of a day.

    Parameters
    ----------
    commits
        Commits of one table, oldest first.
    day
        A day of the table.
    version
        Version of the table; None for the newest.
    at
        Moment at which the table was read; None for now.
    """
    for commit in reversed(commits):
        included = (version is None or commit.version <= version) and (at is None or commit.at <= at)
        if included and day in commit.days:
            return commit
    return None


def list_files(lake: Lake, table: str, days: Collection[date], *, version: int | None = None) -> list[str]:
    """Return the paths, below the lake, of the files with these days in a version; empty without a table."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = _find(lake, table)
        if opened is None:
            return []
        if version is not None:
            opened.load_as_version(version)
        files = pa.table(opened.get_add_actions(flatten=True)).select(["path", "partition.day"]).to_pylist()
    names = {day.isoformat() for day in days}
    return sorted(f"{table}/{file['path']}" for file in files if file["partition.day"] in names)


def _parse_commit(table: str, entry: Mapping[str, Any]) -> Commit | None:
    """Return the commit of an entry of the log; None if it created or compacted the table."""
    days = _DAY.findall(entry.get("operationParameters", {}).get("predicate") or "")
    if entry["operation"] != "WRITE" or not days:
        return None
    return Commit(
        table=table,
        version=int(entry["version"]),
        at=datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
        run=str(entry.get("run", "")),
        attempt=str(entry.get("try", "")),
        days=frozenset(map(date.fromisoformat, days)),
    )


def _find(lake: Lake, table: str) -> DeltaTable | None:
    options = filesystem.with_timeouts(lake.uri, lake.storage_options)
    try:
        return DeltaTable(f"{lake.uri.rstrip('/')}/{table}", storage_options=options)
    except TableNotFoundError:
        return None
