"""Staged frames that hold rows of an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyarrow.fs import FileSelector, FileType

from include.data.lake.erasure import holds
from include.storage import filesystem
from include.storage.errors import translate_storage_errors
from include.storage.staging import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.data.lake.delta_tables import Lake
    from include.data.lake.erasure import Entity


def find_frames(lake: Lake, entity: Entity) -> list[str]:
    """Return the paths, below the lake, of the staged frames with a row of an entity."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = filesystem.open_filesystem(lake.uri, lake.storage_options)
        infos = files.get_file_info(FileSelector(FOLDER, allow_not_found=True, recursive=True))
        paths = [info.path for info in infos if info.type == FileType.File and info.extension == "parquet"]
        return sorted(path for path in paths if holds(files, path, entity))


def delete_frames(lake: Lake, paths: Sequence[str]) -> None:
    """Delete staged frames; those that were swept already are ignored."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = filesystem.open_filesystem(lake.uri, lake.storage_options)
        for path in set(paths) - filesystem.find_missing(files, list(paths)):
            files.delete_file(path)
