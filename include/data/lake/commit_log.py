"""Producers of partitions: which run wrote a day, when, and in which version, read from the commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from include.data.lake.partition_columns import DAY
from include.data.lake.publications import read_publications
from include.partitions import day_of
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    from include.data.lake.delta_tables import Lake
    from include.data.lake.partition_columns import PartitionSet
    from include.data.lake.publications import Publication
    from include.partitions import Partition


@dataclass(frozen=True, slots=True)
class Commit:
    """
    A commit that published partitions of a table, and the DAG run, try and code that made it; "" if unknown.

    `days` are the days that `partitions`, days or hours, are or lie in. `references` are the versions of
    reference tables that the rows were built with, as JSON.
    """

    table: str
    version: int
    at: datetime
    run: str
    attempt: str
    code: str
    partitions: frozenset[Partition]
    days: frozenset[date]
    references: str = ""


def list_commits(lake: Lake, table: str) -> list[Commit]:
    """Return the commits that published partitions of a table, oldest first; empty without a table."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = find_table(lake, table)
        if opened is None:
            return []
        files = filesystem.open_filesystem(lake.uri, lake.storage_options)
        return [
            _to_commit(table, partitions, publication)
            for partitions, publication in read_publications(files, table, opened)
        ]


def producing_commit(
    commits: Sequence[Commit],
    partition: Partition,
    *,
    version: int | None = None,
    at: datetime | None = None,
) -> Commit | None:
    """
    Return the commit that wrote the rows of a partition; of a day in a table of hours, the newest of the day.

    Parameters
    ----------
    commits
        Commits of one table, oldest first.
    partition
        An hour or a day of the table.
    version
        Version of the table; None for the newest.
    at
        Moment at which the table was read; None for now.
    """
    for commit in reversed(commits):
        included = (version is None or commit.version <= version) and (at is None or commit.at <= at)
        if included and (partition in commit.partitions or partition in commit.days):
            return commit
    return None


def list_files(lake: Lake, table: str, days: Collection[date], *, version: int | None = None) -> list[str]:
    """Return the paths, below the lake, of the files with these days in a version; empty without a table."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = find_table(lake, table)
        if opened is None:
            return []
        if version is not None:
            opened.load_as_version(version)
        files = (
            pa.table(opened.get_add_actions(flatten=True)).select(["path", f"partition.{DAY}"]).to_pylist()
        )
    names = {day.isoformat() for day in days}
    return sorted(f"{table}/{file['path']}" for file in files if file[f"partition.{DAY}"] in names)


def _to_commit(table: str, partitions: PartitionSet, publication: Publication) -> Commit:
    return Commit(
        table=table,
        version=publication.version,
        at=publication.published_at,
        run=publication.run,
        attempt=publication.attempt,
        code=publication.code,
        partitions=frozenset(partitions.partitions),
        days=frozenset(map(day_of, partitions.partitions)),
        references=publication.references,
    )


def find_table(lake: Lake, table: str) -> DeltaTable | None:
    """Return the newest version of a table; None if it does not exist."""
    options = filesystem.with_timeouts(lake.uri, lake.storage_options)
    try:
        return DeltaTable(f"{lake.uri.rstrip('/')}/{table}", storage_options=options)
    except TableNotFoundError:
        return None
