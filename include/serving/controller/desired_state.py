"""The controller's access to PostgreSQL: its lock, the desired state and the live state."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, cast, create_engine, func, select
from sqlalchemy.dialects.postgresql import JSONB, array, insert
from sqlalchemy.exc import DBAPIError

from include.catalog import catalog
from include.database.locks import try_lock_session
from include.database.table_checks import newest_checks
from include.database.tables import live_state
from include.release.heartbeat import find_silences
from include.release.memory import record_memory
from include.release.rollout import read_all_states
from include.serving.gateway.callers import grant_entries, list_tokens

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from sqlalchemy.dialects.postgresql import Insert

    from include.database.table_checks import NewestCheck
    from include.release.rollout import ReleaseState

# One controller per database.
LOCK_KEY = "serving/controller"
POLL_INTERVAL_S = 0.3
# A report that did not change is written again after this time.
HEARTBEAT_INTERVAL_S = 10.0
CLOSE_TIMEOUT_S = 5.0
# Whether monitoring has stopped, and what checks of data found, is looked at so often.
LISTEN_INTERVAL_S = 60.0
# PostgreSQL frees the lock of a controller whose machine or network failed after 11 s instead of two hours.
CONNECTION_OPTIONS = (
    "-c statement_timeout=5000 "
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"
)
LIVE_SINCE = array(["live_since"])
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LiveState:
    """The live state of one use case: the generation that is reached, and the details."""

    generation: int
    ready: bool
    detail: dict[str, Any]


class StateStore:
    """
    Reads the desired state and writes the live state in a thread of its own.

    A database that cannot be reached, or hangs, therefore never blocks the controller. `states` is None
    until the lock was taken; afterwards it is what was read last. `grants` are the tokens of callers.
    """

    def __init__(self, url: str) -> None:
        self.states: list[ReleaseState] | None = None
        self.grants: dict[str, str] | None = None
        # Seconds since the last check of a champion whose monitoring has stopped.
        self.silences: dict[str, float] = {}
        self.checks: dict[str, NewestCheck] = {}
        self._listened_at = -LISTEN_INTERVAL_S
        self.problem = "the database was not reached yet"
        self.changed = threading.Event()
        self._engine = create_engine(
            url, pool_size=1, max_overflow=0, isolation_level="AUTOCOMMIT", hide_parameters=True,
            connect_args={"connect_timeout": 3, "options": CONNECTION_OPTIONS},
        )  # fmt: skip
        self._reports: dict[str, LiveState] = {}
        self._written: dict[str, tuple[LiveState, float]] = {}
        self._memory: list[dict[str, Any]] | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state-store", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def report(self, use_case: str, report: LiveState) -> None:
        """Queue the live state of a use case for writing."""
        previous = self._reports.get(use_case)
        self._reports[use_case] = report
        if report != previous:
            self._wake.set()

    def report_memory(self, samples: list[dict[str, Any]]) -> None:
        """Queue samples of the memory of model servers for writing, in place of those not written yet."""
        self._memory = samples

    def close(self) -> None:
        """Write the last reports and release the lock."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        self._engine.dispose()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._engine.connect() as connection:
                    self._synchronize(connection)
            except DBAPIError as error:
                self.problem = f"the database cannot be reached: {error.orig}".strip()
                _log.warning("%s; the model servers go on", self.problem)
                self._stopping.wait(POLL_INTERVAL_S)

    def _synchronize(self, connection: Connection) -> None:
        """Take the lock, then read and write until the store is closed."""
        while not try_lock_session(connection, LOCK_KEY):
            self.states = None
            self.problem = "another controller uses this database"
            if self._stopping.wait(POLL_INTERVAL_S):
                return
        while True:
            states = read_all_states(connection)
            grants = grant_entries(list_tokens(connection))
            if (states, grants) != (self.states, self.grants):
                self.states = states
                self.grants = grants
                self.changed.set()
            self.problem = ""
            self._write_reports(connection)
            self._write_memory(connection)
            self._listen(connection)
            if self._stopping.is_set():
                return
            self._wake.wait(POLL_INTERVAL_S)
            self._wake.clear()

    def _listen(self, connection: Connection) -> None:
        """Look once in a while which champions are not monitored any more, and what checks of data found."""
        if time.monotonic() - self._listened_at < LISTEN_INTERVAL_S:
            return
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        silences = find_silences(connection, catalog().use_cases, now)
        self.silences = {name: (now - silence.since).total_seconds() for name, silence in silences.items()}
        self.checks = newest_checks(connection, [*catalog().datasets, *catalog().feature_views])
        self._listened_at = time.monotonic()

    def _write_memory(self, connection: Connection) -> None:
        samples = self._memory
        if samples is not None:
            record_memory(connection, samples)
            self._memory = None

    def _write_reports(self, connection: Connection) -> None:
        """Write the reports that changed, or that were written `HEARTBEAT_INTERVAL_S` ago."""
        now = time.monotonic()
        for use_case, report in list(self._reports.items()):
            written, written_at = self._written.get(use_case, (None, 0.0))
            if report == written and now - written_at < HEARTBEAT_INTERVAL_S:
                continue
            values = {
                "generation": report.generation,
                "ready": report.ready,
                "detail": report.detail,
                "reported_at": func.clock_timestamp(),
            }
            connection.execute(_upsert_live_state(use_case, values))
            self._written[use_case] = (report, now)


def _upsert_live_state(use_case: str, values: dict[str, Any]) -> Insert:
    """Return the statement that writes a live state, and in `live_since` since when it is live."""
    now = func.to_jsonb(func.clock_timestamp())
    statement = insert(live_state).values(
        use_case=use_case,
        **values | {"detail": func.jsonb_set(cast(values["detail"], JSONB), LIVE_SINCE, now)},
    )
    detail = statement.excluded.detail
    is_still_live = and_(
        live_state.c.ready,
        statement.excluded.ready,
        live_state.c.generation == statement.excluded.generation,
        live_state.c.detail.has_key("live_since"),
    )
    retained = func.jsonb_set(detail, LIVE_SINCE, live_state.c.detail["live_since"])
    changes = {name: statement.excluded[name] for name in values}
    return statement.on_conflict_do_update(
        index_elements=["use_case"], set_=changes | {"detail": case((is_still_live, retained), else_=detail)}
    )
