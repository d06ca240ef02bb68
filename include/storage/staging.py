"""Frames that tasks of one run hand to each other, as Parquet files below the lake."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from shutil import copyfileobj
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors
from include.storage.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pandas as pd
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

FOLDER = "_staging"
# Rows that are read and checked at once.
ROWS_PER_GROUP = 1 << 17
COPIED_BYTES = 1 << 22


@dataclass(frozen=True)
class Staging:
    """
    The staging folder of a lake; paths are relative to the lake.

    Parameters
    ----------
    uri
        Lake: a local path or `s3://…`.
    storage_options
        Options of the object store, as Delta takes them.
    connection
        Name of the Airflow connection that error messages refer to.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = DEFAULT_CONNECTION

    def write(self, run: str, step: str, frame: pd.DataFrame) -> str:
        """Write a frame and return its path; the same run and step replace the same file."""
        return self.write_table(run, step, pa.Table.from_pandas(frame, preserve_index=False))

    def write_table(self, run: str, step: str, table: pa.Table) -> str:
        """Write a table and return its path; the same run and step replace the same file."""
        path = staging_path(run, step)
        with self.writer(path, table.schema) as write:
            write(table)
        return path

    def write_tables(
        self, run: str, step: str, tables: Iterable[pa.Table], *, total: int | None = None
    ) -> tuple[str, int]:
        """
        Write tables of one schema, at least one, one after the other; return the path and their rows.

        The progress is logged, in percent if the `total` of the rows is known.
        """
        path = staging_path(run, step)
        progress = Progress(f"{step}:", total)
        remaining = iter(tables)
        first = next(remaining)
        n_rows = 0
        with self.writer(path, first.schema) as write:
            for table in chain([first], remaining):
                write(table)
                n_rows += table.num_rows
                progress.advance(table.num_rows)
        return path, n_rows

    @contextmanager
    def writer(self, path: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
        """
        Yield a function that appends the rows of a table to a new file.

        The file replaces the one at `path` at the end; after an error it does not.
        """
        # Files of minutes: speed counts more than size. A dictionary pays for text only.
        texts = [column.name for column in schema if pa.types.is_string(column.type)]
        with (
            self._translate_errors(),
            filesystem.open_replacement(self._open(), path) as stream,
            pq.ParquetWriter(
                stream, schema, compression="none", use_dictionary=texts, write_statistics=False
            ) as file,
        ):
            yield lambda table: file.write_table(table, row_group_size=ROWS_PER_GROUP)

    def read(self, path: str) -> pd.DataFrame:
        """Return the frame at `path`."""
        frame: pd.DataFrame = self.read_table(path).to_pandas()
        return frame

    def read_table(self, path: str) -> pa.Table:
        """
        Return the table at `path`.

        Raises
        ------
        DataError
            If the file does not exist.
        """
        self._require(path)
        with self._translate_errors(), self.open_file(path) as file:
            return pq.read_table(file)

    def open(self, path: str) -> StagedTable:
        """
        Return the table at `path`, to be read one batch of rows after the other.

        A table in an object store is copied to the disk first: Delta asks for batches while its own runtime
        works, inside which the store cannot be read.

        Raises
        ------
        DataError
            If the file does not exist.
        """
        self._require(path)
        if "://" not in self.uri:
            return StagedTable(f"{self.uri}/{path}")
        copy = NamedTemporaryFile(prefix="staged-", suffix=".parquet")  # noqa: SIM115  closed with the table
        with self._translate_errors(), self.open_file(path) as file:
            copyfileobj(file, copy, COPIED_BYTES)
        copy.flush()
        return StagedTable(copy.name, copy)

    def open_file(self, path: str) -> NativeFile:
        """Return the open file at `path`."""
        with self._translate_errors():
            return self._open().open_input_file(path)

    def sweep(self, before: datetime) -> int:
        """Delete the frames that were written before this moment, and return their number."""
        with self._translate_errors():
            files = self._open()
            infos = files.get_file_info(FileSelector(FOLDER, allow_not_found=True, recursive=True))
            expired = [
                info for info in infos if info.type == FileType.File and info.mtime and info.mtime < before
            ]
            for info in expired:
                files.delete_file(info.path)
        return len(expired)

    def _require(self, path: str) -> None:
        with self._translate_errors():
            if filesystem.find_missing(self._open(), [path]):
                raise DataError(
                    f"{self.uri}/{path} does not exist: clear the task that writes it, then this one."
                )

    def _open(self) -> FileSystem:
        return filesystem.open_filesystem(self.uri, self.storage_options)

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_storage_errors(self.uri, self.storage_options, self.connection)


@dataclass(frozen=True)
class StagedTable:
    """
    A staged table that is read one batch of rows after the other, as often as needed.

    Parameters
    ----------
    path
        File on the disk.
    copy
        The open file at `path` if it is a copy, which is deleted with this object.
    """

    path: str
    copy: IO[bytes] | None = field(default=None, repr=False)

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns and their types."""
        return pq.read_schema(self.path)

    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        return int(pq.read_metadata(self.path).num_rows)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows, or some columns of them, in batches of at most `ROWS_PER_GROUP`."""
        names = None if columns is None else list(columns)
        with pq.ParquetFile(self.path) as file:
            yield from file.iter_batches(ROWS_PER_GROUP, columns=names)


def staging_path(run: str, step: str) -> str:
    """Return the path of what a step of a run hands over."""
    folder = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run)
    return f"{FOLDER}/{folder}/{step}.parquet"
