"""Records on disk until the database has them: each process writes its own files."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

LOCK = "lock"
REJECTED = "rejected"
SUFFIX = ".jsonl"
OPEN_SUFFIX = ".open"
# A full segment is closed and the next one is begun.
SEGMENT_BYTES = 8_000_000
MAX_SPOOL_BYTES = 1_000_000_000
MAX_REJECTED_BYTES = 64_000_000
# The size of the folder is read again after this time; in between, own records are added.
MEASURE_INTERVAL_S = 1.0


class SpoolFullError(OSError):
    """The folder has reached its largest size."""


class RecordSpool:
    """
    Segments of one JSON document per line, in a subfolder of this process.

    The process holds the lock of its subfolder. When it ends, the kernel frees the lock, and another process
    takes the segments over. Records survive the end of a process, but not a power cut: files are not synced.

    Parameters
    ----------
    folder
        Folder that several processes may share.
    max_bytes
        Largest size of all segments in the folder.
    """

    def __init__(self, folder: Path, *, max_bytes: int = MAX_SPOOL_BYTES) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._segment: int | None = None
        self._segment_bytes = 0
        self._total_bytes = 0
        self._measured_at = float("-inf")
        self._own: Path | None = None
        self._lock_file: int | None = None

    def append(self, lines: Sequence[bytes]) -> None:
        """
        Write lines to the open segment.

        Raises
        ------
        OSError
            If the disk is full or fails, or the folder has reached `max_bytes`. None of the lines is kept.
        """
        content = b"".join(line + b"\n" for line in lines)
        with self._mutex:
            self._require_space(len(content))
            if self._segment is None:
                self._open_segment()
            self._write(content)
            if self._segment_bytes >= SEGMENT_BYTES:
                self._close_segment()

    def close_segment(self) -> None:
        """Close the open segment, so that it can be loaded."""
        with self._mutex:
            self._close_segment()

    def close(self) -> None:
        """Free the lock: another process may take over what is left."""
        with self._mutex:
            self._close_segment()
            self._remove_own_folder()

    @contextmanager
    def segments(self) -> Iterator[list[Path]]:
        """Lend the closed segments of this process and of processes that ended, the oldest first."""
        adopted = self._adopt()
        try:
            folders = [folder for folder, _ in adopted]
            if self._own is not None:
                folders.append(self._own)
            files = chain.from_iterable(folder.glob(f"*{SUFFIX}") for folder in folders)
            yield sorted(files, key=lambda file: file.name)
        finally:
            for folder, lock in adopted:
                _remove_if_empty(folder)
                os.close(lock)

    def reject(self, lines: Sequence[bytes]) -> None:
        """
        Set lines aside that the database does not accept.

        Raises
        ------
        OSError
            If the disk is full or fails, or the lines set aside have reached `MAX_REJECTED_BYTES`.
        """
        folder = self.folder / REJECTED
        folder.mkdir(parents=True, exist_ok=True)
        if _size_of(folder) > MAX_REJECTED_BYTES:
            raise SpoolFullError(f"{folder} has more than {MAX_REJECTED_BYTES} bytes: delete old files.")
        name = f"{time.strftime('%Y-%m-%d', time.gmtime())}.{os.getpid()}{SUFFIX}"
        with (folder / name).open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def size(self) -> int:
        """Return the size of all segments in bytes, without what was set aside."""
        return _size_of(self.folder) - _size_of(self.folder / REJECTED)

    def _require_space(self, n_bytes: int) -> None:
        if time.monotonic() > self._measured_at + MEASURE_INTERVAL_S:
            self._total_bytes = self.size()
            self._measured_at = time.monotonic()
        if self._total_bytes + n_bytes > self._max_bytes:
            raise SpoolFullError(f"{self.folder} would have more than {self._max_bytes} bytes.")
        self._total_bytes += n_bytes

    def _open_segment(self) -> None:
        own = self._own or self._create_own_folder()
        # Names in the order of time, of all processes.
        path = own / f"{time.time_ns():020d}{OPEN_SUFFIX}"
        self._segment = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._path = path
        self._segment_bytes = 0

    def _write(self, content: bytes) -> None:
        if self._segment is None:
            raise SpoolFullError("no segment is open")
        written = 0
        try:
            while written < len(content):
                written += os.write(self._segment, content[written:])
        except OSError:
            # No part of a line may stand before the next one.
            with suppress(OSError):
                os.ftruncate(self._segment, self._segment_bytes)
            raise
        self._segment_bytes += written

    def _close_segment(self) -> None:
        if self._segment is None:
            return
        os.close(self._segment)
        self._segment = None
        with suppress(FileNotFoundError):
            self._path.rename(self._path.with_suffix(SUFFIX))

    def _create_own_folder(self) -> Path:
        """Create the folder under a hidden name, so that nobody takes it over before it is locked."""
        name = f"{os.getpid()}.{secrets.token_hex(4)}"
        draft = self.folder / f"{name}.new"
        draft.mkdir(parents=True)
        self._lock_file = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._own = draft.rename(self.folder / name)
        return self._own

    def _remove_own_folder(self) -> None:
        if self._own is not None:
            _remove_if_empty(self._own)
        if self._lock_file is not None:
            os.close(self._lock_file)
        self._own = None
        self._lock_file = None

    def _adopt(self) -> list[tuple[Path, int]]:
        """Return the folders of ended processes with their locks, which this process now holds."""
        adopted = []
        for folder in self._folders():
            if folder == self._own:
                continue
            lock = _try_lock(folder / LOCK)
            if lock is not None:
                _show_open_segments(folder)
                adopted.append((folder, lock))
        return adopted

    def _folders(self) -> list[Path]:
        if not self.folder.exists():
            return []
        return [path for path in self.folder.iterdir() if path.suffix != ".new" and (path / LOCK).exists()]


def _try_lock(path: Path) -> int | None:
    """Return the descriptor of a lock that is now held; None if another process holds it or removed it."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _show_open_segments(folder: Path) -> None:
    """Close the segments that an ended process had open."""
    for file in folder.glob(f"*{OPEN_SUFFIX}"):
        file.rename(file.with_suffix(SUFFIX))


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder without segments; its lock must be held."""
    if _segments_below(folder):
        return
    (folder / LOCK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _size_of(folder: Path) -> int:
    total = 0
    # Another process may delete a file that was listed.
    for file in _segments_below(folder):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _segments_below(folder: Path) -> list[Path]:
    return [*folder.rglob(f"*{SUFFIX}"), *folder.rglob(f"*{OPEN_SUFFIX}")]
