"""Publications: when, by which run and with which code each partition was published, from the commits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.data.lake.partition_columns import PartitionSet
from include.storage import filesystem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

    from include.partitions import Partition

# Keys of a commit's metadata.
PARTITIONS = "partitions"
RUN = "run"
TRY = "try"
CODE = "code"
REFERENCES = "references"
# Delta's vacuum leaves such folders alone.
FOLDER = "_airworthy"
# A copy of the records of old commits, which is read in one step.
INDEX = f"{FOLDER}/publications.parquet"
INDEX_INTERVAL = 32
_TABLE_ID = b"table_id"
_TIME = pa.timestamp("ms", tz="UTC")
_SCHEMA = pa.schema(
    [
        ("version", pa.int64()),
        ("published_at", _TIME),
        *((name, pa.string()) for name in (PARTITIONS, RUN, TRY, CODE, REFERENCES)),
    ]
)


@dataclass(frozen=True, slots=True)
class Publication:
    """
    The newest publication of a partition, which may have no rows.

    Attributes
    ----------
    version : int
        Version of the table that the commit made.
    published_at : datetime
        Time of the commit, in UTC.
    code : str
        Version of the code that produced the rows; empty if unknown.
    run, attempt : str
        DAG run and try; empty if unknown.
    references : str
        Versions of reference tables that the rows were built with, as JSON; empty for none.
    """

    version: int
    published_at: datetime
    code: str = ""
    run: str = ""
    attempt: str = ""
    references: str = ""


def read_publications(
    files: FileSystem, table: str, opened: DeltaTable
) -> Iterator[tuple[PartitionSet, Publication]]:
    """
    Yield the publications up to the open version, oldest first, each with its partitions.

    The index has the old ones, so that only the newest commits of the log are read.

    Parameters
    ----------
    files
        File system of the lake.
    table
        Name of the table.
    opened
        The version that is read.
    """
    for record in _read_records(files, table, opened).to_pylist():
        publication = Publication(
            version=record["version"],
            published_at=record["published_at"],
            code=record[CODE],
            run=record[RUN],
            attempt=record[TRY],
            references=record[REFERENCES],
        )
        yield PartitionSet.parse(record[PARTITIONS]), publication


def newest_publications(files: FileSystem, table: str, opened: DeltaTable) -> dict[Partition, Publication]:
    """Return the newest publication of each partition up to the open version, by ascending partition."""
    newest: dict[Partition, Publication] = {}
    for partitions, publication in read_publications(files, table, opened):
        newest.update(dict.fromkeys(partitions.partitions, publication))
    return dict(sorted(newest.items()))


def write_index(files: FileSystem, table: str, opened: DeltaTable) -> None:
    """Replace the index by one that has every publication up to the open version, which is the newest."""
    records = _read_records(files, table, opened)
    labelled = records.replace_schema_metadata({_TABLE_ID: str(opened.metadata().id).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(labelled, sink)
    filesystem.write_file(files, f"{table}/{INDEX}", sink.getvalue())


def _read_records(files: FileSystem, table: str, opened: DeltaTable) -> pa.Table:
    """Return one row for each publication up to the open version, oldest first."""
    version = int(opened.version())
    index = _read_index(files, table, opened)
    last_version = index["version"][-1].as_py() if index.num_rows else -1
    if last_version > version:
        return index.filter(pc.less_equal(index["version"], version))
    commits = {number: _read_commit(files, table, number) for number in range(last_version + 1, version + 1)}
    newer = [_to_record(number, commit) for number, commit in commits.items() if commit.get(PARTITIONS)]
    return pa.concat_tables([index, pa.Table.from_pylist(newer, _SCHEMA)])


def _read_index(files: FileSystem, table: str, opened: DeltaTable) -> pa.Table:
    """Return the index; an empty table if there is none, or it is of a former table or project version."""
    path = f"{table}/{INDEX}"
    if filesystem.find_missing(files, [path]):
        return _SCHEMA.empty_table()
    with files.open_input_file(path) as file:
        index = pq.read_table(file)
    if (index.schema.metadata or {}).get(_TABLE_ID) != str(opened.metadata().id).encode():
        return _SCHEMA.empty_table()
    if index.schema.names != _SCHEMA.names:
        return _SCHEMA.empty_table()
    return index.replace_schema_metadata(None).cast(_SCHEMA)


def _read_commit(files: FileSystem, table: str, version: int) -> dict[str, Any]:
    """
    Return what a commit says of itself; empty if its log was deleted.

    Not by `DeltaTable.history`: it counts versions back from the open one, but lists newer commits, too.
    """
    try:
        with files.open_input_file(f"{table}/_delta_log/{version:020}.json") as file:
            lines = bytes(file.read()).decode().splitlines()
    except FileNotFoundError:
        return {}
    actions = (json.loads(line) for line in lines if '"commitInfo"' in line)
    return next((action["commitInfo"] for action in actions if "commitInfo" in action), {})


def _to_record(version: int, commit: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "version": version,
        "published_at": datetime.fromtimestamp(commit["timestamp"] / 1000, UTC),
        **{name: str(commit.get(name, "")) for name in (PARTITIONS, RUN, TRY, CODE, REFERENCES)},
    }
