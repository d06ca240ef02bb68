"""Erasure of an entity's rows from a table, physically: from its newest version, old files and log."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, write_deltalake
from deltalake.exceptions import CommitFailedError
from pyarrow.fs import FileSelector, FileType
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from include.data.lake.commit_log import find_table
from include.data.lake.partition_columns import DAY, HOUR, PartitionSet, parse_partition_name
from include.data.lake.spellings import spelling_pattern
from include.errors import DataError, ServiceUnavailable
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Collection

    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

    from include.data.lake.delta_tables import Lake

LOG = "_delta_log"
# Partitions that are rewritten in one commit.
MAX_PARTITIONS = 16
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")


@dataclass(frozen=True, slots=True)
class Entity:
    """
    The rows to erase: those with `value`, as text, in `column`.

    In a table of rejected rows, a row also belongs to the entity if its value could not be read and its raw
    text, in a column that begins with `_`, contains the value as a word. A row with the `pseudonym` of the
    value, as in an exported log, belongs to it, too.
    """

    column: str
    value: str
    pseudonym: str = ""

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return which of the rows belong to the entity: boolean (n,)."""
        matches = self._equal(rows[self.column])
        for name in rows.column_names:
            if name.startswith("_") and pa.types.is_string(rows.schema.field(name).type):
                is_raw = pc.match_substring_regex(rows[name], pattern=self._word)
                unread = pc.and_(pc.is_null(rows[self.column]), pc.fill_null(is_raw, fill_value=False))
                matches = pc.or_(matches, unread)
        return matches

    def columns(self, schema: pa.Schema) -> list[str] | None:
        """Return the columns that `mask` reads; None if rows of this schema cannot belong to the entity."""
        if self.column not in schema.names:
            return None
        raw = [
            field.name
            for field in schema
            if field.name.startswith("_") and pa.types.is_string(field.type) and field.name not in (DAY, HOUR)
        ]
        return [self.column, *raw]

    def _equal(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        if self.pseudonym and pa.types.is_string(values.type):
            forms = pa.array([self.value, self.pseudonym])
            return pc.is_in(values, value_set=forms)
        try:
            value = pa.scalar(self.value).cast(values.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return pa.chunked_array([pa.repeat(pa.scalar(value=False), len(values))])
        return pc.fill_null(pc.equal(values, value), fill_value=False)

    @property
    def _word(self) -> str:
        # A letter before the value may be the end of a short escape of JSON.
        return rf"(^|\W|\\[bfnrt])({spelling_pattern(self.value)})(\W|$)"


@dataclass(frozen=True, slots=True)
class TableErasure:
    """
    Rows of an entity in one table.

    Attributes
    ----------
    rows : int
        Number of rows in the newest version.
    partitions : tuple of str
        Their partitions.
    files : tuple of str
        Files, below the table, of any version that hold a row of the entity.
    """

    table: str
    rows: int
    partitions: tuple[str, ...]
    files: tuple[str, ...]


def find_rows(lake: Lake, table: str, entity: Entity) -> TableErasure | None:
    """Return the rows of an entity in all versions of a table; None if there are none."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = _open_files(lake)
        partitions = _partitions_of(_require(lake, table), entity)
        holding = [path for path in _data_files(files, table) if holds(files, path, entity)]
    if not holding:
        return None
    return TableErasure(
        table=table,
        rows=sum(partitions.values()),
        partitions=tuple(sorted(partitions)),
        files=tuple(path.removeprefix(f"{table}/") for path in holding),
    )


def erase_rows(lake: Lake, table: str, entity: Entity) -> None:
    """
    Rewrite the partitions with rows of an entity, and delete every file that holds one, with its statistics.

    The commit is no publication: the partitions keep the run that published them. Versions that need a
    deleted file cannot be read any more; all others can. A repetition completes an interrupted erasure.

    Raises
    ------
    ServiceUnavailable
        If other writers are faster, or the store is away.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(CommitFailedError),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_after_delay(lake.commit_timeout),
        reraise=True,
    )
    try:
        with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
            retrying(_rewrite, lake, table, entity)
            _purge(lake, table, entity)
    except CommitFailedError as error:
        raise ServiceUnavailable(
            f"{table}: others write the same partitions. Nothing is lost; repeat the erasure. ({error})"
        ) from error


def holds(files: FileSystem, path: str, entity: Entity) -> bool:
    """Return whether a Parquet file has a row of an entity."""
    with files.open_input_file(path) as file:
        parquet = pq.ParquetFile(file)
        columns = entity.columns(parquet.schema_arrow)
        if columns is None:
            return False
        rows = parquet.read(columns=columns)
    return bool(pc.any(entity.mask(rows)).as_py())


def has_column(lake: Lake, table: str, column: str) -> bool:
    """Return whether a table exists and has a column."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        opened = find_table(lake, table)
        return opened is not None and column in {field.name for field in opened.schema().fields}


def _rewrite(lake: Lake, table: str, entity: Entity) -> None:
    """Rewrite the partitions with rows of the entity, a few in each commit, so that memory is bounded."""
    while True:
        opened = _require(lake, table)
        names = sorted(_partitions_of(opened, entity))[:MAX_PARTITIONS]
        if not names:
            return
        partitions = PartitionSet.of([parse_partition_name(name) for name in names])
        days = pc.field(DAY).isin(list(partitions.by_day()))
        hours = partitions.expression()
        rows = opened.to_pyarrow_dataset().to_table(filter=days if hours is None else days & hours)
        write_deltalake(
            opened,
            rows.filter(pc.invert(entity.mask(rows))),
            mode="overwrite",
            predicate=partitions.predicate(),
            commit_properties=CommitProperties(custom_metadata={"reason": "erasure"}, max_commit_retries=0),
        )


def _purge(lake: Lake, table: str, entity: Entity) -> None:
    """Delete the files that hold rows of the entity, and what the log says of their contents."""
    files = _open_files(lake)
    live = {f"{table}/{path}" for path in _live_files(_require(lake, table))}
    holding = [path for path in _data_files(files, table) if path not in live and holds(files, path, entity)]
    _forget_statistics(lake, files, table, {path.removeprefix(f"{table}/") for path in holding})
    for path in holding:
        files.delete_file(path)


def _forget_statistics(lake: Lake, files: FileSystem, table: str, deleted: Collection[str]) -> None:
    """Remove the least and greatest values of these files from the log, and old checkpoints with them."""
    if not deleted:
        return
    opened = _require(lake, table)
    opened.create_checkpoint()
    for info in files.get_file_info(FileSelector(f"{table}/{LOG}")):
        checkpoint = _CHECKPOINT.fullmatch(info.base_name)
        if checkpoint and int(checkpoint[1]) < opened.version():
            files.delete_file(info.path)
        elif info.base_name.endswith(".json"):
            with files.open_input_file(info.path) as file:
                text = bytes(file.read()).decode()
            lines = [_without_values(line, deleted) for line in text.splitlines()]
            if lines != text.splitlines():
                filesystem.write_file(files, info.path, "".join(f"{line}\n" for line in lines).encode())


def _without_values(line: str, deleted: Collection[str]) -> str:
    action = json.loads(line)
    added: dict[str, Any] = action.get("add", {})
    if added.get("path") not in deleted or not added.get("stats"):
        return line
    statistics = json.loads(added["stats"])
    added["stats"] = json.dumps({"numRecords": statistics.get("numRecords")})
    return json.dumps(action)


def _partitions_of(opened: DeltaTable, entity: Entity) -> dict[str, int]:
    """Return the number of rows of an entity by partition name, in the open version."""
    dataset = opened.to_pyarrow_dataset()
    # A column of the table itself may be called `hour`.
    names = list(opened.metadata().partition_columns)
    columns = entity.columns(dataset.schema)
    if columns is None:
        return {}
    rows = dataset.to_table(columns=[*dict.fromkeys([*columns, *names])])
    counts: dict[str, int] = {}
    for values in rows.filter(entity.mask(rows)).select(names).to_pylist():
        name = "T".join(str(value) for value in values.values())
        counts[name] = counts.get(name, 0) + 1
    return counts


def _data_files(files: FileSystem, table: str) -> list[str]:
    infos = files.get_file_info(FileSelector(table, allow_not_found=True, recursive=True))
    internal = f"{table}/_"
    return [
        info.path
        for info in infos
        if info.type == FileType.File
        and info.path.endswith(".parquet")
        and not _is_internal(info.path, internal)
    ]


def _is_internal(path: str, prefix: str) -> bool:
    """Return whether a file belongs to the log or the index; folders of partitions contain `=`."""
    return path.startswith(prefix) and "=" not in path.removeprefix(prefix).partition("/")[0]


def _live_files(opened: DeltaTable) -> list[str]:
    return [str(path) for path in pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()]


def _require(lake: Lake, table: str) -> DeltaTable:
    opened = find_table(lake, table)
    if opened is None:
        raise DataError(f"There is no table {table} in the lake {lake.uri} any more. Repeat the erasure.")
    return opened


def _open_files(lake: Lake) -> FileSystem:
    return filesystem.open_filesystem(lake.uri, lake.storage_options)
