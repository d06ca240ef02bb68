"""Write what was asked and answered to Postgres, in batches; to a file while it is away."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from include.database.tables import inference_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Engine

    from include.inference.scoring_protocol import Predictions

Role = Literal["champion", "challenger", "shadow"]

INTERVAL = 0.1  # seconds between two batches
RETRY = 1.0  # seconds until a database that was away is asked again
MAX_PENDING = 5_000  # records in memory; more go to the file at once
CHUNK = 500
CONNECT_TIMEOUT_S = 3.0  # seconds that a database has to answer at the end
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """One request to one version, and its answer; `inputs` is one dictionary per row."""

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


class Spool:
    """Records on disk, one JSON line each, shared by all model servers of a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Keep rows until somebody takes them."""
        lines = "".join(
            json.dumps(row | {"received_at": row["received_at"].isoformat()}) + "\n" for row in rows
        )
        with self._alone(), (self.folder / "waiting.jsonl").open("a") as file:
            file.write(lines)

    def chunks(self) -> Iterator[list[dict[str, Any]]]:
        """Give everything that waits, piece by piece; a file goes when all of its pieces were consumed."""
        with self._alone():
            waiting = self.folder / "waiting.jsonl"
            if waiting.exists():
                waiting.rename(self.folder / f"{time.time_ns()}.{os.getpid()}.ready")
        for file in sorted(self.folder.glob("*.ready")):
            with file.open() as lines:
                while chunk := list(islice(lines, CHUNK)):
                    yield [row for line in chunk if (row := _read(line))]
            file.unlink(missing_ok=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class InferenceLog:
    """A writer in the background; `record` costs its caller microseconds, whatever the database does."""

    def __init__(self, url: str, spool: Path) -> None:
        timeouts = {"connect_timeout": 3, "options": "-c statement_timeout=10000"}
        self._engine: Engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=timeouts
        )
        self._spool = Spool(spool)
        self._queue: queue.SimpleQueue[Record] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._writing: list[dict[str, Any]] = []
        self._away_until = 0.0
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def record(self, record: Record) -> None:
        """Write a record soon."""
        if self._queue.qsize() < MAX_PENDING:
            self._queue.put(record)
        else:
            self._spool.append([asdict(record)])

    def close(self) -> None:
        """Write everything that waits, to the file if need be."""
        self._stopping.set()
        self._thread.join(CONNECT_TIMEOUT_S)
        if self._thread.is_alive():  # a database that hangs; what it took after all is not taken twice
            self._spool.append([*self._writing, *self._waiting()])
        else:
            self._engine.dispose()

    def _run(self) -> None:
        while not self._stopping.wait(INTERVAL):
            self._flush()
        self._flush()

    def _waiting(self) -> list[dict[str, Any]]:
        rows = []
        while not self._queue.empty():
            rows.append(asdict(self._queue.get()))
        return rows

    def _flush(self) -> None:
        rows = self._writing = self._waiting()
        try:
            self._write(rows)
        except (OperationalError, InterfaceError) as error:
            self._away_until = time.monotonic() + RETRY
            _log.warning(
                "the database is away, %d records go to %s: %s", len(rows), self._spool.folder, error.orig
            )
            self._spool.append(rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        if time.monotonic() < self._away_until:
            if rows:
                self._spool.append(rows)
            return
        for first in range(0, len(rows), CHUNK):
            self._insert(rows[first : first + CHUNK])
        for chunk in self._spool.chunks():
            self._insert(chunk)

    def _insert(self, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(inference_log).on_conflict_do_nothing(), rows)
        except (OperationalError, InterfaceError):
            raise
        except DBAPIError as error:
            if len(rows) == 1:
                _log.error("a record that the database refuses is lost: %s", error.orig)
                return
            for row in rows:
                self._insert([row])


def _read(line: str) -> dict[str, Any] | None:
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError:  # the half line of a process that was killed
        return None
    return row | {"received_at": datetime.fromisoformat(row["received_at"])}
