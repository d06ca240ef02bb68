"""Files below an address, on a disk or in an object store, reached with the options that Delta takes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

if TYPE_CHECKING:
    from collections.abc import Mapping

# Delta's own patience is three minutes for each of a dozen requests; Airflow's retries wait for longer.
_PATIENCE = {"retry_timeout": "60s", "timeout": "30s", "connect_timeout": "5s"}


def open_filesystem(uri: str, storage_options: Mapping[str, str]) -> fs.FileSystem:
    """Return the files below `uri`, by their paths relative to it."""
    if "://" in uri:
        return fs.PyFileSystem(_ObjectStore(uri, with_timeouts(uri, storage_options)))
    return fs.SubTreeFileSystem(str(Path(uri).absolute()), fs.LocalFileSystem())


def with_timeouts(uri: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return a store's options; where they say nothing else, one that is away is given up after a minute."""
    return {**_PATIENCE, **given} if "://" in uri else dict(given)


def write_file(files: fs.FileSystem, path: str, content: bytes) -> None:
    """Write a file that is there as a whole or not at all, in place of the one that was."""
    if not isinstance(files, fs.SubTreeFileSystem):  # an object appears when it is complete
        _write(files, path, content)
        return
    place = PurePosixPath(path)
    unfinished = str(place.with_name(f".{place.name}.{os.getpid()}"))
    files.create_dir(str(place.parent), recursive=True)
    try:
        _write(files, unfinished, content)
        files.move(unfinished, path)
    except OSError:  # a full disk, most of all, should not keep what nobody will read
        with suppress(OSError):
            files.delete_file(unfinished)
        raise


def find_missing(files: fs.FileSystem, paths: list[str]) -> set[str]:
    """Return which of `paths` are no files."""
    found = files.get_file_info(paths)
    return {path for path, info in zip(paths, found, strict=True) if info.type != fs.FileType.File}


class _ObjectStore(DeltaStorageHandler):  # type: ignore[misc]  # it comes without types
    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_Upload(self._handler.open_output_stream(path, metadata)), mode="w")


class _Upload:
    """An object's stream that takes what Arrow hands over: buffers, where Delta's own takes bytes only."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def write(self, data: pa.Buffer) -> int:
        return int(self._stream.write(bytes(data)))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def _write(files: fs.FileSystem, path: str, content: bytes) -> None:
    stream = files.open_output_stream(path, compression=None)  # a name in .gz is packed already
    stream.write(content)
    stream.close()  # an object appears when its stream is closed, so one that failed must not be
