"""Frames that tasks of one run hand to each other, as Parquet files below the lake."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import DEFAULT_CONNECTION, translate_storage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    import pandas as pd
    from pyarrow.fs import FileSystem

FOLDER = "_staging"


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
        folder = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run)
        path = f"{FOLDER}/{folder}/{step}.parquet"
        sink = pa.BufferOutputStream()
        # Files of minutes: speed counts more than size. A dictionary pays for text only.
        texts = [column.name for column in table.schema if pa.types.is_string(column.type)]
        pq.write_table(table, sink, compression="none", use_dictionary=texts, write_statistics=False)
        with self._translate_errors():
            filesystem.write_file(self._open(), path, sink.getvalue())
        return path

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
        with self._translate_errors():
            files = self._open()
            if filesystem.find_missing(files, [path]):
                raise DataError(
                    f"{self.uri}/{path} does not exist: clear the task that writes it, then this one."
                )
            with files.open_input_file(path) as file:
                return pq.read_table(file)

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

    def _open(self) -> FileSystem:
        return filesystem.open_filesystem(self.uri, self.storage_options)

    def _translate_errors(self) -> AbstractContextManager[None]:
        return translate_storage_errors(self.uri, self.storage_options, self.connection)
