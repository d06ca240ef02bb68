"""Copies of the champion's requests for a challenger, sent after the response so that callers never wait."""

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

from include.serving.shadow_target import ShadowTarget
from include.settings import gateway_headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Copies in memory; further copies are dropped and counted.
MAX_PENDING = 1_000
COPY_TIMEOUT_S = 2.0
WATCH_INTERVAL_S = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MirroredRequest:
    """The body and headers of a request that is sent again."""

    body: bytes
    headers: dict[str, str]


class Shadow:
    """
    Sends copies to the target that `file` names: one thread reads the file, another sends.

    `dropped` is called for each copy that is not sent or gets no response, `failed` with the copy and the
    target's version for each that gets none: a version that hangs or has died writes no record itself.
    """

    def __init__(
        self,
        file: Path,
        version: int,
        *,
        replica: int = 1,
        dropped: Callable[[], None] = lambda: None,
        failed: Callable[[MirroredRequest, int], None] = lambda *_: None,
    ) -> None:
        self._file = file
        self._version = version
        self._replica = replica
        self._dropped = dropped
        self._failed = failed
        self._target: ShadowTarget | None = None
        self._queue: queue.Queue[MirroredRequest] = queue.Queue(MAX_PENDING)
        threading.Thread(target=self._watch, name="shadow-target", daemon=True).start()
        threading.Thread(target=self._send_all, name="shadow", daemon=True).start()

    def wants(self, request_id: str) -> bool:
        """Return whether a request is selected for copying; the result depends only on its id."""
        target = self._target
        return target is not None and zlib.crc32(request_id.encode()) / 2**32 < target.share

    def send(self, copy: MirroredRequest) -> None:
        """Queue a copy, or drop it if the queue is full."""
        try:
            self._queue.put_nowait(copy)
        except queue.Full:
            self._dropped()

    def _watch(self) -> None:
        while True:
            self._target = self._read_target()
            time.sleep(WATCH_INTERVAL_S)

    def _read_target(self) -> ShadowTarget | None:
        try:
            content = json.loads(self._file.read_text())
        except FileNotFoundError:
            return None
        target = ShadowTarget(**content) if content else None
        if target is None or target.champion != self._version or target.share <= 0:
            return None
        return target

    def _send_all(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            copy = self._queue.get()
            target = self._target
            if target is None:
                continue
            address = target.address_for(self._replica)
            if connection is None or f"{connection.host}:{connection.port}" != address:
                connection = http.client.HTTPConnection(address, timeout=COPY_TIMEOUT_S)
            try:
                _send(connection, copy)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._dropped()
                _log.info("version %d did not answer a copy: %s", target.challenger, error)
                # Unless it was replaced meanwhile.
                if self._read_target() == target:
                    self._failed(copy, target.challenger)


def _send(connection: http.client.HTTPConnection, copy: MirroredRequest) -> None:
    """Send a copy and read the response; a connection that the server closed meanwhile is opened again."""
    headers = copy.headers | {"X-Airworthy-Route": "shadow"} | gateway_headers()
    is_reused = connection.sock is not None
    try:
        connection.request("POST", "/invocations", copy.body, headers)
        connection.getresponse().read()
    except ConnectionError:
        connection.close()
        if not is_reused:
            raise
        connection.request("POST", "/invocations", copy.body, headers)
        connection.getresponse().read()
