"""Frames on their way from one task to the next: files below the lake, named by the run that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSelector, FileType

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import CONNECTION, with_translated_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

FOLDER = "_staging"


@dataclass(frozen=True)
class Staging:
    """The staging folder of a lake; what it returns and takes are paths below the lake."""

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    connection: str = CONNECTION

    @with_translated_errors
    def write(self, run: str, step: str, frame: pd.DataFrame) -> str:
        """Write `frame` and return its path; the same run and step write the same file again."""
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run)
        path = f"{FOLDER}/{name}/{step}.parquet"
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), sink)
        filesystem.write_file(
            filesystem.open_filesystem(self.uri, self.storage_options), path, sink.getvalue()
        )
        return path

    @with_translated_errors
    def read(self, path: str) -> pd.DataFrame:
        """
        Return the frame that an earlier step wrote.

        :raises DataError: if it is gone
        """
        files = filesystem.open_filesystem(self.uri, self.storage_options)
        if filesystem.find_missing(files, [path]):
            raise DataError(f"{self.uri}/{path} is gone: clear the task that writes it, then this one.")
        with files.open_input_file(path) as file:
            frame: pd.DataFrame = pq.read_table(file).to_pandas()
            return frame

    @with_translated_errors
    def sweep(self, before: datetime) -> int:
        """Delete every frame that was written before this moment, and return how many there were."""
        files = filesystem.open_filesystem(self.uri, self.storage_options)
        found = files.get_file_info(FileSelector(FOLDER, allow_not_found=True, recursive=True))
        old = [info for info in found if info.type == FileType.File and info.mtime and info.mtime < before]
        for info in old:
            files.delete_file(info.path)
        return len(old)
