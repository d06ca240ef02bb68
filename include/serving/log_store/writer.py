"""A background thread that loads the records of a spool into a table."""

from __future__ import annotations

import logging
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING

from include.serving.log_store import metrics
from include.serving.log_store.loader import DatabaseAwayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from include.serving.log_store.loader import TableLoader
    from include.serving.log_store.spool import RecordSpool

LOAD_INTERVAL_S = 0.1
# Pause before a database that took no records is tried again.
RETRY_INTERVAL_S = 1.0
MARK_INTERVAL_S = 0.3
# Records of one transaction.
CHUNK_LINES = 1_000
CHUNK_BYTES = 4_000_000
# Records that could not be written to the disk wait in memory up to this size.
MAX_MEMORY_BYTES = 16_000_000
CLOSE_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)


class LogWriter:
    """
    Keeps records on disk at once and loads them in a thread.

    Neither a failing database nor a full disk raises an error to the caller of `store`; what could not be
    kept is counted.

    Parameters
    ----------
    name
        Name of the log in metrics and messages.
    spool
        The records of this process on disk.
    loader
        The table that they are loaded into.
    """

    def __init__(self, name: str, spool: RecordSpool, loader: TableLoader) -> None:
        self._name = name
        self._spool = spool
        self._loader = loader
        self._stored_until: datetime | None = None
        self._marked_at = float("-inf")
        self._memory: list[bytes] = []
        self._memory_bytes = 0
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._retry_at = 0.0
        self._problem = ""
        for reason in ("memory_full", "not_set_aside"):
            metrics.LOST.labels(name, reason)
        metrics.REJECTED.labels(name)
        self._thread = threading.Thread(target=self._run, name=f"{name}-loader", daemon=True)
        self._thread.start()

    def store(self, lines: Sequence[bytes], *, until: datetime | None = None) -> None:
        """
        Keep JSON documents, one per line, until the database has them.

        With `until`, all that ended before that moment was given now or earlier; the table `log_watermark`
        has the moment once the database has them.
        """
        if lines:
            try:
                self._spool.append(lines)
            except OSError as error:
                _log.warning(
                    "%s: records wait in memory, since they cannot be spooled: %s", self._name, error
                )
                self._remember(lines)
        self._stored_until = until or self._stored_until

    def close(self) -> None:
        """Load what is left, for at most `CLOSE_TIMEOUT_S`; the rest stays on disk for another process."""
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        self._spool.close()
        if not self._thread.is_alive():
            self._loader.close()
        with self._mutex:
            metrics.LOST.labels(self._name, "memory_full").inc(len(self._memory))

    def _remember(self, lines: Sequence[bytes]) -> None:
        with self._mutex:
            for line in lines:
                if self._memory_bytes + len(line) > MAX_MEMORY_BYTES:
                    metrics.LOST.labels(self._name, "memory_full").inc()
                    continue
                self._memory.append(line)
                self._memory_bytes += len(line)

    def _run(self) -> None:
        while not self._stopping.wait(LOAD_INTERVAL_S):
            self._load_safely()
        self._retry_at = 0.0
        self._load_safely()

    def _load_safely(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        try:
            self._load()
        except DatabaseAwayError as error:
            self._pause(f"the database takes no records; they wait in {self._spool.folder}: {error}")
        except Exception as error:  # noqa: BLE001  the thread must go on, whatever fails
            self._pause(f"{type(error).__name__}: {error}")
        else:
            self._report("")
        metrics.SPOOL_BYTES.labels(self._name).set(self._spool.size())

    def _load(self) -> None:
        complete_until = self._stored_until
        self._load_memory()
        self._spool.close_segment()
        with self._spool.segments() as files:
            for file in files:
                for chunk in _chunks(file):
                    self._load_lines(chunk)
                file.unlink(missing_ok=True)
        if complete_until is not None and not self._memory:
            self._mark(complete_until)

    def _mark(self, complete_until: datetime) -> None:
        if time.monotonic() < self._marked_at + MARK_INTERVAL_S:
            return
        self._loader.mark(self._name, complete_until)
        self._marked_at = time.monotonic()

    def _load_memory(self) -> None:
        with self._mutex:
            lines = self._memory[:CHUNK_LINES]
        if not lines:
            return
        self._load_lines(lines)
        with self._mutex:
            del self._memory[: len(lines)]
            self._memory_bytes = sum(len(line) for line in self._memory)

    def _load_lines(self, lines: list[bytes]) -> None:
        rejected = self._loader.load(lines)
        metrics.WRITTEN.labels(self._name).inc(len(lines) - len(rejected))
        if not rejected:
            return
        metrics.REJECTED.labels(self._name).inc(len(rejected))
        _log.error(
            "%s: the database refused %d records; they are set aside in %s/rejected",
            self._name, len(rejected), self._spool.folder,
        )  # fmt: skip
        try:
            self._spool.reject(rejected)
        except OSError as error:
            metrics.LOST.labels(self._name, "not_set_aside").inc(len(rejected))
            _log.error("%s: %d refused records are lost: %s", self._name, len(rejected), error)

    def _pause(self, problem: str) -> None:
        self._retry_at = time.monotonic() + RETRY_INTERVAL_S
        self._report(problem)

    def _report(self, problem: str) -> None:
        """Log the first problem, and its end."""
        metrics.DATABASE_AWAY.labels(self._name).set(bool(problem))
        if bool(problem) != bool(self._problem):
            _log.warning("%s: %s", self._name, problem or "records are written to the database again")
        self._problem = problem


def _chunks(file: Path) -> Iterator[list[bytes]]:
    """Yield the lines of a segment, in parts of at most `CHUNK_LINES` lines and about `CHUNK_BYTES`."""
    with file.open("rb") as lines:
        while chunk := _next_chunk(lines):
            yield chunk


def _next_chunk(lines: Iterator[bytes]) -> list[bytes]:
    chunk = []
    size = 0
    for line in islice(lines, CHUNK_LINES):
        # The last line of a process that was killed may be incomplete; nothing of it was promised.
        if line.endswith(b"\n"):
            chunk.append(line[:-1])
        size += len(line)
        if size > CHUNK_BYTES:
            break
    return chunk
