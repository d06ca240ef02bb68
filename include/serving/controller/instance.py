"""One version on its way to its callers: fetched, checked, started, ready, and up again after each fall."""

from __future__ import annotations

import http.client
import json
import shutil
import time
from typing import TYPE_CHECKING

from include.certificates import certificate
from include.errors import AirworthyError, CertificateInvalid
from include.inference.download import download_version
from include.serving import paths
from include.serving.controller import processes
from include.serving.gateway.config import Server
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    import psutil

START_TIMEOUT_S = 60.0  # seconds until a server that starts must be ready
PROBE_INTERVAL_S = 2.0  # seconds between two looks at a ready server
MAX_FAILED_PROBES = 5  # looks without an answer until a server that hangs is replaced
STEADY = 30.0  # seconds without a fall after which the earlier ones are forgotten
LONGEST_PAUSE = 30.0


class Instance:
    """
    A version's model server; `step` moves it on and never blocks.

    `server` is None until it was ready once. From then on it stays the same while a fallen process is
    replaced on its port, and so does everything that points there.
    """

    def __init__(self, use_case: str, version: int, pool: Executor, server: Server | None = None) -> None:
        self.use_case = use_case
        self.version = version
        self.ready = False
        self.reason = "it is being fetched"
        self.server = server
        self.process: psutil.Process | None = None
        self.unwanted_since: float | None = None
        self._place = server
        self._pool = pool
        self._prepared = False
        self._work: Future[bool] | None = None
        self._falls = 0
        self._since = self._next = time.monotonic()
        self._blind = 0

    @property
    def port(self) -> int | None:
        """The port that is kept for it."""
        return self._place.port if self._place else None

    def adopt(self, server: Server, process: psutil.Process) -> None:
        """Take over a process that an earlier controller started."""
        self._place, self.process, self._prepared = server, process, True
        self.reason = "it was found running"

    def step(self, choose_port: Callable[[], int]) -> None:
        """Do what is next, if its time has come."""
        if self.process is not None and processes.has_ended(self.process):
            self._on_failure(
                f"its process ended: {_said(processes.last_log_line(self._place))}" if self._place else ""
            )
        if self._work is not None and not self._work.done():
            return
        work, self._work = self._work, None
        if self.process is not None:
            self._probe(work)
        elif not self._prepared and work is not None:
            self._on_prepared(work)
        elif time.monotonic() >= self._next:
            self._start(choose_port)

    def _start(self, choose_port: Callable[[], int]) -> None:
        if not self._prepared:
            self._work = self._pool.submit(prepare, self.use_case, self.version)
            return
        try:
            if self._place is None or self._falls > 1:
                self._place = Server(self.use_case, self.version, choose_port())
            self.process = processes.start_server(self._place)
        except (AirworthyError, OSError) as error:
            self._on_failure(str(error))
            return
        self._since, self._next = time.monotonic(), 0.0
        if not self._falls:
            self.reason = "its server is starting"

    def _on_prepared(self, prepared: Future[bool]) -> None:
        if error := prepared.exception():
            self._on_failure(str(error))
        else:
            self._prepared = True

    def _probe(self, seen: Future[bool] | None) -> None:
        now = time.monotonic()
        if seen is not None and seen.result():
            if not self.ready:
                self._since = now
            self.ready, self.reason, self.server, self._blind = True, "", self._place, 0
            if now - self._since > STEADY:
                self._falls = 0
        elif seen is not None:
            self._blind += 1
        hangs = self._blind >= MAX_FAILED_PROBES if self.ready else now - self._since > START_TIMEOUT_S
        if hangs and self.process is not None:
            processes.end_server([self.process], patience=0)
            self._on_failure("its server did not answer")
        elif self._place is not None and now >= self._next:
            self._next = now + PROBE_INTERVAL_S if self.ready else 0.0
            self._work = self._pool.submit(answers, self._place)

    def _on_failure(self, reason: str) -> None:
        """Note why, and when to try again: at once after the first fall, later after each further one."""
        self.ready, self.reason, self.process, self._work, self._blind = False, reason, None, None, 0
        self._prepared = self._prepared and self._falls == 0  # whatever falls again is checked again
        pause = min(2.0 ** (self._falls - 1), LONGEST_PAUSE) if self._falls else 0.0
        self._falls += 1
        self._next = time.monotonic() + pause


def prepare(use_case: str, version: int) -> bool:
    """
    Fetch a version's files and check its certificate.

    :raises CertificateInvalid: and removes the files, so that the next attempt fetches them anew
    """
    folder = download_version(settings().mlflow_uri, use_case, version, paths.model_folder(use_case, version))
    try:
        certificate.verify_certificate(folder, settings().trusted_keys, use_case=use_case)
    except CertificateInvalid:
        shutil.rmtree(folder)
        raise
    return True


def answers(server: Server) -> bool:
    """Return whether this version, and no other, is ready at its address."""
    connection = http.client.HTTPConnection(server.address, timeout=2)
    try:
        connection.request("GET", "/readyz")
        told = json.loads(connection.getresponse().read())
        return bool(told == {"name": server.use_case, "version": server.version})
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _said(line: str) -> str:
    """Return the reason in a model server's last line, which is JSON if it knew why it ended."""
    try:
        return str(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError):
        return line
