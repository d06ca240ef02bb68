"""Files below an address on a disk or in an object store, opened with the options that Delta takes."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake.fs import DeltaStorageHandler
from pyarrow import fs

from include.atomic_files import open_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Delta waits for three minutes in each of a dozen requests; Airflow's retries wait for longer.
STORE_TIMEOUTS = {"retry_timeout": "60s", "timeout": "30s", "connect_timeout": "5s"}


def open_filesystem(uri: str, storage_options: Mapping[str, str]) -> fs.FileSystem:
    """Return the file system below `uri`, a local path or `s3://…`; paths are relative to it."""
    if "://" in uri:
        return fs.PyFileSystem(_ObjectStore(uri, with_timeouts(uri, storage_options)))
    return fs.SubTreeFileSystem(str(Path(uri).absolute()), fs.LocalFileSystem())


def with_timeouts(uri: str, storage_options: Mapping[str, str]) -> dict[str, str]:
    """Return the options, for an object store with `STORE_TIMEOUTS` where they set no others."""
    defaults = STORE_TIMEOUTS if "://" in uri else {}
    return {**defaults, **storage_options}


def write_file(files: fs.FileSystem, path: str, content: bytes) -> None:
    """Replace a file in one step: readers see the old content or the new one."""
    with open_replacement(files, path) as stream:
        stream.write(content)


@contextmanager
def open_replacement(files: fs.FileSystem, path: str) -> Iterator[Any]:
    """Open a stream of bytes that replaces a file when it is closed; after an error it does not."""
    if isinstance(files, fs.SubTreeFileSystem):
        file = Path(files.base_path, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with open_atomically(file) as stream:
            yield stream
        return
    # Without `compression=None`, Arrow would compress files that are named *.gz.
    stream = files.open_output_stream(path, compression=None)
    yield stream
    # An object appears when its stream is closed, so a stream whose writing failed stays open.
    stream.close()


def find_missing(files: fs.FileSystem, paths: list[str]) -> set[str]:
    """Return those of `paths` that are not files."""
    infos = files.get_file_info(paths)
    return {path for path, info in zip(paths, infos, strict=True) if info.type != fs.FileType.File}


class _ObjectStore(DeltaStorageHandler):  # type: ignore[misc]  # deltalake.fs has no types
    def copy_file(self, src: str, dst: str) -> None:
        # Delta's own method names the arguments differently from what it calls.
        self._handler.copy_file(src, dst)

    def open_output_stream(self, path: str, metadata: dict[str, str] | None = None) -> pa.PythonFile:
        return pa.PythonFile(_Upload(self._handler.open_output_stream(path, metadata)), mode="w")


class _Upload:
    """Stream of an object that takes Arrow's buffers; Delta's own stream takes bytes only."""

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
