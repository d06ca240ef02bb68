"""The controller's bond to Postgres: the lock, what is desired, and what is live; in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from include.database.locks import try_lock_session
from include.database.tables import live_state
from include.release.rollout import read_all_states

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from include.release.rollout import ReleaseState

LOCK_KEY = "serving/controller"  # one controller per database
POLL = 0.3  # seconds
# The server lets go of the lock of a controller whose machine or network vanished after 11 s, not two hours.
OPTIONS = (
    "-c statement_timeout=5000 "
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
)
HEARTBEAT = 10.0  # seconds after which a report is written again, though nothing changed
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveState:
    """What is live of one use case."""

    generation: int
    ready: bool
    detail: dict[str, Any]


class StateStore:
    """
    Reads and reports in a thread, so that a database which is away, or hangs, never stops the controller.

    `states` is None until the lock was taken once; afterwards it is what was last read.
    """

    def __init__(self, url: str) -> None:
        self.states: list[ReleaseState] | None = None
        self.problem = "the database was not reached yet"
        self.changed = threading.Event()
        self._engine = create_engine(
            url, pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT", hide_parameters=True,
            connect_args={"connect_timeout": 3, "options": OPTIONS},
        )  # fmt: skip
        self._reports: dict[str, LiveState] = {}
        self._written: dict[str, tuple[LiveState, float]] = {}
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="bond", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def report(self, use_case: str, report: LiveState) -> None:
        """Write down soon what is live."""
        before = self._reports.get(use_case)
        self._reports[use_case] = report
        if report != before:
            self._wake.set()

    def close(self) -> None:
        """Write the last reports and let go of the lock."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(5)
        self._engine.dispose()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    self._serve(connection)
            except DBAPIError as error:
                self.problem = f"the database is away: {error.orig}".strip()
                _log.warning("%s; what runs goes on", self.problem)
                self._stopping.wait(POLL)

    def _serve(self, connection: Connection) -> None:
        while not try_lock_session(connection, LOCK_KEY):
            self.states, self.problem = None, "another controller holds this database"
            if self._stopping.wait(POLL):
                return
        while True:
            states = read_all_states(connection)
            if states != self.states:
                self.states = states
                self.changed.set()
            self.problem = ""
            self._write(connection)
            if self._stopping.is_set():
                return
            self._wake.wait(POLL)
            self._wake.clear()

    def _write(self, connection: Connection) -> None:
        now = time.monotonic()
        for use_case, report in list(self._reports.items()):
            written, at = self._written.get(use_case, (None, 0.0))
            if report == written and now - at < HEARTBEAT:
                continue
            values = {"generation": report.generation, "ready": report.ready, "detail": report.detail}
            values["reported_at"] = func.clock_timestamp()
            statement = insert(live_state).values(use_case=use_case, **values)
            connection.execute(statement.on_conflict_do_update(index_elements=["use_case"], set_=values))
            self._written[use_case] = (report, now)
