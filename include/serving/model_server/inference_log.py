"""The inference log: requests and predictions in PostgreSQL, or on disk while it cannot be reached."""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock
from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from include.database.tables import inference_log
from include.serving.model_server.logged_values import LoggedValues

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from include.inference.predictions import Predictions

Role = Literal["champion", "challenger", "shadow"]

FLUSH_INTERVAL_S = 0.1
# Pause before a database that could not be reached is tried again.
RETRY_INTERVAL_S = 1.0
# Records in memory; further records go to the spool at once.
MAX_PENDING = 5_000
CHUNK_ROWS = 500
# Time to write the last records when the process ends.
CLOSE_TIMEOUT_S = 3.0
LOCK_POLL_INTERVAL_S = 0.01
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """
    One request to one version, and its predictions; `inputs` has one dictionary per row.

    `feature_age_s` is the age of the oldest feature that was looked up, None if none was.
    """

    use_case: str
    request_id: str
    version: int
    role: Role
    entity_id: str | None
    received_at: datetime
    latency_ms: float
    status: int
    inputs: list[dict[str, Any]] | None
    predictions: Predictions | None
    feature_age_s: float | None = None


class Spool:
    """Records on disk, one JSON document per line, shared by all model servers of a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Add rows to the spool."""
        lines = [json.dumps(row | {"received_at": row["received_at"].isoformat()}) + "\n" for row in rows]
        with self._lock(), (self.folder / "waiting.jsonl").open("a") as file:
            file.write("".join(lines))

    def chunks(self) -> Iterator[list[dict[str, Any]]]:
        """
        Yield all rows in chunks of at most `CHUNK_ROWS`.

        A file is deleted after its last chunk was consumed. If a process dies before that, another one
        yields all rows of the file again.
        """
        waiting = self.folder / "waiting.jsonl"
        if waiting.exists():
            # Another process may have taken the file before the lock was free.
            with self._lock(), suppress(FileNotFoundError):
                waiting.rename(self.folder / f"{time.time_ns()}.{os.getpid()}.ready")
        for file in sorted(self.folder.glob("*.ready")):
            with file.open() as lines:
                while chunk := list(islice(lines, CHUNK_ROWS)):
                    rows = map(_parse_line, chunk)
                    yield [row for row in rows if row is not None]
            file.unlink(missing_ok=True)

    def _lock(self) -> FileLock:
        """Return the lock of the folder; the kernel frees it when its process dies."""
        # No fallback to a lock file without flock: a process that dies would leave it locked.
        path = self.folder / "lock"
        return FileLock(path, poll_interval=LOCK_POLL_INTERVAL_S, fallback_to_soft=False)


class InferenceLog:
    """
    Writes records in a background thread; `record` takes microseconds, whatever the database does.

    Parameters
    ----------
    url
        Address of the database.
    spool
        Folder for records while the database cannot be reached.
    logged
        What is kept of personal values.
    """

    def __init__(self, url: str, spool: Path, logged: LoggedValues | None = None) -> None:
        self._logged = logged or LoggedValues()
        timeouts = {"connect_timeout": 3, "options": "-c statement_timeout=10000"}
        self._engine: Engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=timeouts
        )
        self._spool = Spool(spool)
        self._queue: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._rows_in_flight: list[dict[str, Any]] = []
        self._retry_at = 0.0
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def record(self, record: Record) -> None:
        """Queue a record, without its personal values; it is written within about `FLUSH_INTERVAL_S`."""
        record = replace(
            record,
            entity_id=self._logged.entity(record.entity_id),
            inputs=None if record.inputs is None else self._logged.rows(record.inputs),
        )
        if self._queue.qsize() < MAX_PENDING:
            self._queue.put(record)
        else:
            self._spool.append([asdict(record)])

    def close(self) -> None:
        """Write all queued records to the database or, after `CLOSE_TIMEOUT_S`, to the spool."""
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            # The database hangs. Rows that it stored nevertheless are not stored again: the key is unique.
            self._spool.append([*self._rows_in_flight, *self._take_queued()])
        else:
            self._engine.dispose()

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_INTERVAL_S):
            self._flush()
        self._flush()

    def _take_queued(self) -> list[dict[str, Any]]:
        rows = []
        while not self._queue.empty():
            rows.append(asdict(self._queue.get()))
        return rows

    def _flush(self) -> None:
        rows = self._take_queued()
        self._rows_in_flight = rows
        try:
            self._write_rows(rows)
        except (OperationalError, InterfaceError) as error:
            self._retry_at = time.monotonic() + RETRY_INTERVAL_S
            _log.warning(
                "the database cannot be reached, %d records are spooled to %s: %s",
                len(rows), self._spool.folder, error.orig,
            )  # fmt: skip
            self._spool.append(rows)

    def _write_rows(self, rows: list[dict[str, Any]]) -> None:
        if time.monotonic() < self._retry_at:
            if rows:
                self._spool.append(rows)
            return
        for first in range(0, len(rows), CHUNK_ROWS):
            self._insert(rows[first : first + CHUNK_ROWS])
        for chunk in self._spool.chunks():
            self._insert(chunk)

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        """Insert rows; if the database rejects a row of several, insert each row alone."""
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(inference_log).on_conflict_do_nothing(), rows)
        except (OperationalError, InterfaceError):
            raise
        except DBAPIError as error:
            if len(rows) == 1:
                _log.error("the database rejected a record, which is lost: %s", error.orig)
                return
            for row in rows:
                self._insert([row])


def _parse_line(line: str) -> dict[str, Any] | None:
    """Return the row of a line; None for the incomplete line of a process that was killed."""
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    return row | {"received_at": datetime.fromisoformat(row["received_at"])}
