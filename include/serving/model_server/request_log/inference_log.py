"""The inference log: requests and predictions, on disk at once and in PostgreSQL a moment later."""

from __future__ import annotations

import json
import logging
import queue
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from include.database.tables import inference_log
from include.serving.log_store import metrics
from include.serving.log_store.loader import TableLoader
from include.serving.log_store.spool import RecordSpool
from include.serving.log_store.writer import LogWriter
from include.serving.model_server.logged_values import LoggedValues

if TYPE_CHECKING:
    from pathlib import Path

    from include.serving.model_server.request_log.access_lines import AccessLines
    from include.serving.model_server.request_log.request_record import Record

LOG = "inference_log"
FLUSH_INTERVAL_S = 0.1
# Records that wait for the next flush.
MAX_QUEUED_BYTES = 64_000_000
# Time to write the last records to disk when the process ends.
CLOSE_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)


class InferenceLog:
    """
    Writes records in a background thread; `record` takes microseconds, whatever disk and database do.

    Records are on disk within about `FLUSH_INTERVAL_S`; those of a process that is killed before are lost.

    Parameters
    ----------
    url
        Address of the database; without one, requests are in the access log only.
    spool
        Folder for records that the database does not have yet; each process uses a subfolder of its own.
    logged
        What is kept of personal values.
    lines
        The access log of this process, which has all requests.
    """

    def __init__(
        self, url: str, spool: Path, logged: LoggedValues | None = None, lines: AccessLines | None = None
    ) -> None:
        self._lines = lines
        self._logged = logged or LoggedValues()
        self._writer = LogWriter(LOG, RecordSpool(spool), TableLoader(url, inference_log)) if url else None
        self._lost = metrics.LOST.labels(LOG, "queue_full")
        self._queue: queue.SimpleQueue[tuple[Record, bool]] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._thread.start()

    def record(self, record: Record, *, stored: bool = True) -> None:
        """
        Queue a record; it is dropped and counted if those that wait take `MAX_QUEUED_BYTES`.

        A record that is not `stored` is in the access log of the process only.
        """
        size = record.approximate_bytes
        with self._mutex:
            if self._queued_bytes + size > MAX_QUEUED_BYTES:
                self._lost.inc()
                return
            self._queued_bytes += size
        self._queue.put((record, stored))

    def close(self) -> None:
        """Write all queued records to disk and, if it takes them in time, to the database."""
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._writer is not None:
            self._writer.close()
        if self._lines is not None:
            self._lines.close()

    def _run(self) -> None:
        while not self._stopping.wait(FLUSH_INTERVAL_S):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        queued = []
        while not self._queue.empty():
            queued.append(self._queue.get())
        with self._mutex:
            self._queued_bytes -= sum(record.approximate_bytes for record, _ in queued)
        if self._lines is not None:
            self._lines.write(record for record, _ in queued)
        if self._writer is None:
            return
        lines = []
        for record, stored in queued:
            if not stored:
                continue
            try:
                lines.append(self._to_line(record))
            except (TypeError, ValueError) as error:
                metrics.LOST.labels(LOG, "not_json").inc()
                _log.error("a record of request %s cannot be written: %s", record.request_id, error)
        self._writer.store(lines)

    def _to_line(self, record: Record) -> bytes:
        """Return the record as a JSON document, without personal values."""
        row = asdict(
            replace(
                record,
                entity_id=self._logged.entity(record.entity_id),
                inputs=None if record.inputs is None else self._logged.rows(record.inputs),
            )
        )
        row["received_at"] = record.received_at.isoformat()
        return json.dumps(row).encode()
