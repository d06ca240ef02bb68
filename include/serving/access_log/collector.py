"""The collector: reads HAProxy's pipe, keeps the entries on disk and loads them into PostgreSQL."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import select
import signal
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from include.database.tables import access_log
from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.access_log import metrics
from include.serving.access_log.entries import BadLineError, parse_entry
from include.serving.gateway.haproxy import Gateway
from include.serving.log_store.loader import TableLoader
from include.serving.log_store.spool import RecordSpool
from include.serving.log_store.writer import LogWriter
from include.settings import settings

if TYPE_CHECKING:
    from pathlib import Path

LOG = "access_log"
# The largest pipe that Linux gives an ordinary user: about 2,000 entries while the collector restarts.
PIPE_BYTES = 1_048_576
POLL_TIMEOUT_MS = 200
# Entries that arrive meanwhile are read together.
READ_INTERVAL_S = 0.02
METRICS_INTERVAL_S = 1.0
LOCK_POLL_S = 0.2
_log = logging.getLogger(__name__)


class Collector:
    """
    Reads lines from a pipe and stores their rows.

    Parameters
    ----------
    pipe
        The named pipe that HAProxy writes to; it keeps entries while the collector is away.
    writer
        Keeps the rows until the database has them.
    pseudonym_key
        Key of the entities' pseudonyms.
    """

    def __init__(self, pipe: Path, writer: LogWriter, pseudonym_key: str) -> None:
        self._writer = writer
        self._key = pseudonym_key
        self._rest = b""
        paths.make_pipe(pipe)
        # With a writing end of its own, the pipe never ends.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        _enlarge(self._pipe)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)

    def read(self) -> int:
        """Wait a moment for lines, store those that are there, and return their number."""
        self._poll.poll(POLL_TIMEOUT_MS)
        # What HAProxy wrote before is in the pipe, and read at once.
        moment = datetime.now(UTC)
        try:
            content = self._rest + os.read(self._pipe, PIPE_BYTES)
        except BlockingIOError:
            content = self._rest
        *lines, self._rest = content.split(b"\n")
        rows = []
        for line in lines:
            try:
                row = parse_entry(line, self._key)
            except BadLineError as error:
                metrics.GARBLED.inc()
                _log.error("a line of HAProxy's log cannot be read: %s", error)
                continue
            metrics.count_row(row)
            rows.append(json.dumps(row).encode())
        self._writer.store(rows, until=moment)
        return len(lines)

    def close(self) -> None:
        """Read what is left in the pipe and close it."""
        while self._poll.poll(0) and self.read():
            pass
        os.close(self._pipe)


def collect(stopping: threading.Event) -> None:
    """Collect the access log of this home until `stopping` is set."""
    lock = _wait_for_turn(stopping)
    if lock is None:
        return
    writer = LogWriter(
        LOG, RecordSpool(paths.access_spool_folder()), TableLoader(settings().database_url, access_log)
    )
    collector = Collector(paths.access_pipe(), writer, settings().pseudonym_key)
    written_at = float("-inf")
    while not stopping.is_set():
        collector.read()
        if time.monotonic() > written_at + METRICS_INTERVAL_S:
            _write_metrics()
            written_at = time.monotonic()
        stopping.wait(READ_INTERVAL_S)
    collector.close()
    writer.close()
    _write_metrics()
    lock.release()


def main() -> None:
    """Collect until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    collect(stopping)


def _wait_for_turn(stopping: threading.Event) -> FileLock | None:
    """Return the lock of the pipe: two readers would tear each other's lines."""
    path = paths.access_pipe().with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, fallback_to_soft=False)
    while not stopping.is_set():
        try:
            lock.acquire(timeout=LOCK_POLL_S)
        except Timeout:
            continue
        return lock
    return None


def _write_metrics() -> None:
    metrics.LAST_READ.set_to_current_time()
    # Without HAProxy no line is dropped either.
    with suppress(ServiceUnavailable):
        metrics.DROPPED.set(Gateway().dropped_log_lines())
    try:
        metrics.write(paths.access_metrics_file())
    except OSError as error:
        _log.warning("the metrics cannot be written: %s", error)


def _enlarge(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    except OSError as error:
        _log.warning("the pipe keeps its size, and fewer entries while the collector is away: %s", error)
