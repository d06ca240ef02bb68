"""Frames on their way from one task to the next: files below the lake, named by the run that made them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import FileSystem, FileType

from include.data.files import filesystem
from include.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

FOLDER = "_staging"


@dataclass(frozen=True)
class Staging:
    """The staging folder of a lake."""

    lake_uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def write(self, run: str, step: str, frame: pd.DataFrame) -> str:
        """Write `frame` and return its URI; the same run and step write the same file again."""
        uri = f"{self._folder(run)}/{step}.parquet"
        files, path = self._open(uri)
        files.create_dir(path.rpartition("/")[0])
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, filesystem=files)
        return uri

    def read(self, uri: str) -> pd.DataFrame:
        """
        Return the frame that an earlier step wrote.

        :raises DataError: if it is gone
        """
        files, path = self._open(uri)
        if files.get_file_info(path).type == FileType.NotFound:
            raise DataError(f"{uri} is gone: clear the task that writes it, then this one.")
        return pq.read_table(path, filesystem=files).to_pandas()

    def discard(self, run: str) -> None:
        """Remove everything that `run` wrote."""
        files, path = self._open(self._folder(run))
        if files.get_file_info(path).type != FileType.NotFound:
            files.delete_dir(path)

    def _folder(self, run: str) -> str:
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in run)
        return f"{self.lake_uri}/{FOLDER}/{name}"

    def _open(self, uri: str) -> tuple[FileSystem, str]:
        return filesystem(uri, self.storage_options)
