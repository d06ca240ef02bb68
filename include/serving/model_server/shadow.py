"""Send copies of the champion's requests to a challenger, after the answer, and never slow the caller."""

from __future__ import annotations

import http.client
import json
import logging
import queue
import threading
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.serving.shadow_target import Target

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_PENDING = 1_000  # copies; what comes on top is dropped and counted
TIMEOUT = 2.0  # seconds that a copy may take
WATCH_INTERVAL_S = 0.2  # seconds between two looks at the file
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MirroredRequest:
    """A request, to be sent once more."""

    body: bytes
    headers: dict[str, str]


class Shadow:
    """Reads from `file` where copies go; one thread sends them."""

    def __init__(self, file: Path, version: int, *, dropped: Callable[[], None] = lambda: None) -> None:
        self._file = file
        self._version = version
        self._dropped = dropped
        self._target: Target | None = None
        self._queue: queue.Queue[MirroredRequest] = queue.Queue(MAX_PENDING)
        threading.Thread(target=self._watch, name="shadow-target", daemon=True).start()
        threading.Thread(target=self._send_all, name="shadow", daemon=True).start()

    def wants(self, request_id: str) -> bool:
        """Return whether this request is one of those to be copied; the same id, the same answer."""
        target = self._target
        return target is not None and zlib.crc32(request_id.encode()) / 2**32 < target.share

    def send(self, copy: MirroredRequest) -> None:
        """Queue a copy, or drop it if too many wait."""
        try:
            self._queue.put_nowait(copy)
        except queue.Full:
            self._dropped()

    def _watch(self) -> None:
        while True:
            self._target = self._read()
            time.sleep(WATCH_INTERVAL_S)

    def _read(self) -> Target | None:
        try:
            content = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        target = Target(**content) if content else None
        return target if target and target.champion == self._version and target.share > 0 else None

    def _send_all(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            copy, target = self._queue.get(), self._target
            if target is None:
                continue
            if connection is None or f"{connection.host}:{connection.port}" != target.address:
                connection = http.client.HTTPConnection(target.address, timeout=TIMEOUT)
            try:
                headers = copy.headers | {"X-Airworthy-Route": "shadow"}
                connection.request("POST", "/invocations", copy.body, headers)
                connection.getresponse().read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._dropped()
                _log.info("version %d did not take a copy: %s", target.challenger, error)
