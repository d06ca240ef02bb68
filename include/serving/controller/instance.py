"""The life of one model server: downloaded, verified, started, ready, restarted after failures."""

from __future__ import annotations

import http.client
import json
import time
from typing import TYPE_CHECKING

from include.errors import AirworthyError
from include.processes import end_processes
from include.serving.controller import processes
from include.serving.gateway.config import Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future

    import psutil

    # Use case, version and replica.
    InstanceKey = tuple[str, int, int]
    # Begins the preparation of a use case's version.
    Prepare = Callable[[str, int], Future[bool]]

# A server that is not ready after this time is replaced.
START_TIMEOUT_S = 60.0
PROBE_INTERVAL_S = 1.0
PROBE_TIMEOUT_S = 1.5
# A ready server that fails so many probes in a row is replaced; it answers 503 if its model hangs.
MAX_FAILED_PROBES = 3
# Earlier failures are forgotten when a server was ready for this time.
STEADY_S = 30.0
MAX_PAUSE_S = 30.0


class Instance:
    """
    One model server of a version; `step` takes its next action and never blocks.

    `server` is None until the server was ready once. Afterwards it stays the same while a process that
    ended is replaced on the same port, so that routes to it stay valid.

    Parameters
    ----------
    key
        Use case, version, and number of this server among the replicas of the version.
    pool
        Runs probes.
    prepare
        Begins to download and verify a version.
    server
        Address that HAProxy knows already, if an earlier controller assigned one.
    """

    def __init__(
        self, key: InstanceKey, pool: Executor, prepare: Prepare, server: Server | None = None
    ) -> None:
        self.use_case, self.version, self.replica = key
        self.ready = False
        self.reason = "it is being downloaded"
        self.server = server
        self.process: psutil.Process | None = None
        self.undesired_since: float | None = None
        self._pool = pool
        self._prepare = prepare
        self._address = server
        self._prepared = False
        self._task: Future[bool] | None = None
        self._failures = 0
        self._failed_probes = 0
        # Start of the process, or the moment at which it became ready.
        self._state_since = time.monotonic()
        self._next_action_at = self._state_since

    @property
    def port(self) -> int | None:
        """The port that is reserved for the server."""
        return self._address.port if self._address else None

    def adopt(self, server: Server, process: psutil.Process) -> None:
        """Take over a process that an earlier controller started."""
        self._address = server
        self.process = process
        self._prepared = True
        self.reason = "it was started by an earlier controller"

    def step(self, choose_port: Callable[[], int]) -> None:
        """Take the next action, if it is due; `choose_port` returns a free port."""
        if self.process is not None and processes.has_ended(self.process):
            self._on_process_ended()
        elif self.process is not None and processes.is_stopped(self.process):
            end_processes([self.process], timeout_s=0)
            self._on_failure("its process was stopped")
        if self._task is not None and not self._task.done():
            return
        task = self._task
        self._task = None
        if self.process is not None:
            self._probe(task)
        elif not self._prepared and task is not None:
            self._on_prepared(task)
        elif time.monotonic() >= self._next_action_at:
            self._start(choose_port)

    def _start(self, choose_port: Callable[[], int]) -> None:
        """Prepare the version or, if it is prepared, start its process."""
        if not self._prepared:
            self._task = self._prepare(self.use_case, self.version)
            return
        try:
            # While no server used the port, another program may have taken it.
            if self._address is None or self._failures > 1 or not processes.can_bind(self._address.port):
                self._address = Server(self.use_case, self.version, choose_port(), self.replica)
            self.process = processes.start_server(self._address)
        except (AirworthyError, OSError) as error:
            self._on_failure(str(error))
            return
        self._state_since = time.monotonic()
        self._next_action_at = 0.0
        if not self._failures:
            self.reason = "its server is starting"

    def _on_prepared(self, task: Future[bool]) -> None:
        error = task.exception()
        if error:
            self._on_failure(str(error))
        else:
            self._prepared = True

    def _probe(self, task: Future[bool] | None) -> None:
        """Evaluate the last probe, replace a server that hangs, and start the next probe."""
        now = time.monotonic()
        if task is not None and task.result():
            self._on_ready(now)
        elif task is not None:
            self._failed_probes += 1
        if self._hangs(now):
            if self.process is not None:
                end_processes([self.process], timeout_s=0)
            self._on_failure("its server did not answer")
        elif self._address is not None and now >= self._next_action_at:
            # A server that starts, or failed a probe, is asked again at once.
            is_steady = self.ready and not self._failed_probes
            self._next_action_at = now + PROBE_INTERVAL_S if is_steady else 0.0
            self._task = self._pool.submit(is_ready, self._address)

    def _on_ready(self, now: float) -> None:
        if not self.ready:
            self._state_since = now
        self.ready = True
        self.reason = ""
        self.server = self._address
        self._failed_probes = 0
        if now - self._state_since > STEADY_S:
            self._failures = 0

    def _hangs(self, now: float) -> bool:
        if self.ready:
            return self._failed_probes >= MAX_FAILED_PROBES
        return now - self._state_since > START_TIMEOUT_S

    def _on_process_ended(self) -> None:
        line = processes.last_log_line(self._address) if self._address else ""
        self._on_failure(f"its process ended: {_error_in(line)}")

    def _on_failure(self, reason: str) -> None:
        """Record a failure and schedule the restart after 0, 1, 2, 4 … 30 s."""
        self.ready = False
        self.reason = reason
        self.process = None
        self._task = None
        self._failed_probes = 0
        # After a second failure the files are verified again.
        self._prepared = self._prepared and self._failures == 0
        pause = min(2.0 ** (self._failures - 1), MAX_PAUSE_S) if self._failures else 0.0
        self._failures += 1
        self._next_action_at = time.monotonic() + pause


def is_ready(server: Server) -> bool:
    """Return whether exactly this version is ready at its address."""
    connection = http.client.HTTPConnection(server.address, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        content = json.loads(connection.getresponse().read())
        return bool(content == {"name": server.use_case, "version": server.version})
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _error_in(line: str) -> str:
    """Return the error in the last line of a log, which is JSON if the model server could not start."""
    try:
        return str(json.loads(line)["error"])
    except (ValueError, KeyError, TypeError):
        return line
