"""Whole tables of a lake: listed, moved to the archive, or deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyarrow.fs import FileSelector, FileType, SubTreeFileSystem

from include.errors import DataError
from include.storage import filesystem
from include.storage.errors import translate_storage_errors

if TYPE_CHECKING:
    from datetime import datetime

    from pyarrow.fs import FileInfo, FileSystem

    from include.data.lake.delta_tables import Lake

ARCHIVE = "_archive"
LOG = "_delta_log"


def list_tables(lake: Lake) -> list[str]:
    """Return the names of all tables of a lake, also of those that are not declared."""
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = _open(lake)
        folders = files.get_file_info(FileSelector("", allow_not_found=True))
        names = [info.base_name for info in folders if info.type == FileType.Directory]
        logs = files.get_file_info([f"{name}/{LOG}" for name in names])
    return sorted(name for name, log in zip(names, logs, strict=True) if log.type == FileType.Directory)


def list_archives(lake: Lake) -> list[Lake]:
    """Return the archive of each former drop as a lake of its own."""
    from dataclasses import replace

    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        folders = _open(lake).get_file_info(FileSelector(ARCHIVE, allow_not_found=True))
    names = sorted(info.base_name for info in folders if info.type == FileType.Directory)
    return [replace(lake, uri=f"{lake.uri.rstrip('/')}/{ARCHIVE}/{name}") for name in names]


def archive_table(lake: Lake, table: str, at: datetime) -> str:
    """
    Move a table to `_archive/<moment>/<table>`, and return that path.

    A local table is moved in one step. The objects of a store are copied first, so that a copy that was
    interrupted leaves the table as it was.

    Raises
    ------
    DataError
        If there is no such table.
    """
    path = f"{ARCHIVE}/{at:%Y%m%dT%H%M%S}/{table}"
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = _open(lake)
        objects = _require_objects(files, lake, table)
        if isinstance(files, SubTreeFileSystem):
            files.create_dir(path.rpartition("/")[0])
            files.move(table, path)
            return path
        for source in objects:
            files.copy_file(source.path, f"{path}{source.path.removeprefix(table)}")
        _delete(files, objects)
    return path


def delete_table(lake: Lake, table: str) -> None:
    """
    Delete a table with all of its versions.

    Raises
    ------
    DataError
        If there is no such table.
    """
    with translate_storage_errors(lake.uri, lake.storage_options, lake.connection):
        files = _open(lake)
        objects = _require_objects(files, lake, table)
        if isinstance(files, SubTreeFileSystem):
            files.delete_dir(table)
        else:
            _delete(files, objects)


def _require_objects(files: FileSystem, lake: Lake, table: str) -> list[FileInfo]:
    infos = files.get_file_info(FileSelector(table, allow_not_found=True, recursive=True))
    objects = [info for info in infos if info.type == FileType.File]
    if not objects:
        raise DataError(f"There is no table {table} in the lake {lake.uri}: nothing can be dropped.")
    return objects


def _delete(files: FileSystem, objects: list[FileInfo]) -> None:
    # The log first, its newest commit at first: what an interruption leaves is no table that lacks files.
    in_log = [info.path for info in objects if f"/{LOG}/" in info.path]
    for path in sorted(in_log, reverse=True):
        files.delete_file(path)
    for info in objects:
        if info.path not in in_log:
            files.delete_file(info.path)


def _open(lake: Lake) -> FileSystem:
    return filesystem.open_filesystem(lake.uri, lake.storage_options)
