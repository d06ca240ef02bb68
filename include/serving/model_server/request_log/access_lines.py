"""The access log of a model server: one JSON document per request in a file of bounded size."""

from __future__ import annotations

import json
import logging
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.serving.model_server.request_log.request_record import Record

MAX_FILE_BYTES = 10_000_000
# Older files beside the current one.
N_OLDER_FILES = 2
FIELDS = (
    "request_id", "gateway_id", "trace_id", "use_case", "version", "role", "status", "latency_ms",
    "feature_age_s",
)  # fmt: skip


class AccessLines:
    """Appends lines to a file, which is renamed once it has `MAX_FILE_BYTES`; it holds no values of rows."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Without `delay`, a folder that is not writable would be an error here; so it is reported per write.
        self._handler = RotatingFileHandler(
            file, maxBytes=MAX_FILE_BYTES, backupCount=N_OLDER_FILES, delay=True
        )

    def write(self, records: Iterable[Record]) -> None:
        """Append one line per record; a disk that is full is reported by `logging`, not raised."""
        for record in records:
            line = {"at": record.received_at.isoformat()} | {name: getattr(record, name) for name in FIELDS}
            line["rows"] = len(record.inputs) if record.inputs else 0
            self._handler.handle(
                logging.LogRecord("access", logging.INFO, "", 0, json.dumps(line), None, None)
            )

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
