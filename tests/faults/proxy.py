"""A proxy in front of an HTTP server that injects faults."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xmlrpc.client import ServerProxy

if TYPE_CHECKING:
    from types import TracebackType

    from tests.faults.relay import Kind

UNLIMITED = 1_000_000


class Proxy:
    """
    Forward requests to `target`; `uri` stays the same after `stop` and `start`.

    `busy` responds with 503, `cut` closes the connection after half of the request body, `lose` forwards the
    request and closes the connection instead of responding, `hang` never responds.
    """

    def __init__(self, target: str) -> None:
        self._command = [
            "setpriv", "--pdeathsig=KILL", sys.executable, "-m", "tests.faults.relay", target
        ]  # fmt: skip

    def __enter__(self) -> Proxy:
        root = Path(__file__).parents[2]
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=root)
        port, commands = str(self._process.stdout and self._process.stdout.readline()).split()
        self.uri = f"http://127.0.0.1:{port}"
        self._relay = ServerProxy(f"http://127.0.0.1:{commands}", allow_none=True)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def start(self) -> None:
        self._relay.start()

    def stop(self) -> None:
        """Refuse new connections and close the open ones."""
        self._relay.stop()

    def inject(self, kind: Kind, where: str = "", times: int = UNLIMITED, *, stop: bool = False) -> None:
        """Apply a fault to the next `times` requests whose `METHOD path` matches; `stop` at the first."""
        self._relay.inject(kind, where, times, stop)

    def heal(self) -> None:
        self._relay.heal()

    def statuses(self, where: str = "") -> list[int]:
        """Return the status of each request that matches, 0 where there was no response."""
        requests: list[tuple[str, int]] = self._relay.requests()  # type: ignore[assignment]
        return [status for request, status in requests if re.search(where, request)]
