"""PostgreSQL restarted during the work: no evidence is lost or duplicated, and a retry succeeds."""

from __future__ import annotations

import signal
import subprocess
import threading
import uuid
from contextlib import contextmanager

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from include.data.lake.delta_tables import Lake
from include.data.quality_gate import run_quality_gate
from include.database import ledger
from include.database.migrate import upgrade
from include.database.tables import connect, gate_result
from include.declarations import Column, Dataset, FileSource
from include.release import rollout
from include.stack.embedded.postgres import SUPERUSER, Postgres
from tests.conftest import PASSWORD, free_ports, wait_until
from tests.faults.conftest import DAY

READINGS = Dataset(
    name="readings",
    owner="test",
    description="Readings of a sensor.",
    source=FileSource(path="readings/{partition}.csv"),
    columns=(Column(name="id", dtype="string"), Column(name="value", dtype="number")),
    key=("id",),
    first_partition=DAY,
)
SIGNALS = [pytest.param(signal.SIGINT, id="restart"), pytest.param(signal.SIGQUIT, id="crash")]


class Server:
    """A PostgreSQL of this module that can be restarted."""

    def __init__(self, folder):
        self.folder = folder
        self.postgres = Postgres(folder / "data", free_ports(1)[0])
        self.postgres.initialise(PASSWORD)
        self.admin = self.postgres.admin(PASSWORD)

    def start(self):
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(self.postgres.command(fsync="off"), stdout=log, stderr=log)
        wait_until(self.accepts_connections, 30, f"PostgreSQL, see {self.folder / 'log'}")

    def stop(self, signal_number=signal.SIGINT):
        """Stop the server: `SIGINT` is a fast shutdown, `SIGQUIT` acts as a crash."""
        self.process.send_signal(signal_number)
        self.process.wait(30)

    def accepts_connections(self):
        try:
            with self.admin.connect():
                return True
        except DBAPIError:
            return False

    @contextmanager
    def restarted_at_a_locked_table(self, table, engine, signal_number):
        """Restart the server while the work waits for a locked table in its transaction."""
        locker = engine.connect()
        locker.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        stop = threading.Thread(target=self._stop_when_a_lock_is_awaited, args=(signal_number,))
        stop.start()
        try:
            yield
        finally:
            stop.join()
            # Started by this thread: the server ends with the thread that started it.
            self.start()
            locker.invalidate()
            locker.close()

    def _stop_when_a_lock_is_awaited(self, signal_number):
        waits = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        with self.admin.connect() as watch:
            wait_until(lambda: watch.scalar(waits), 30, "a session that waits for the lock")
        self.stop(signal_number)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("restarted"))
    server.start()
    yield server
    server.admin.dispose()
    server.stop()


@pytest.fixture
def engine(server):
    name = f"airworthy_{uuid.uuid4().hex[:8]}"
    with server.admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    engine = connect(server.postgres.url(name, SUPERUSER, PASSWORD))
    upgrade(engine)
    yield engine
    engine.dispose()


def recorded(engine):
    with engine.connect() as connection:
        return sorted(connection.scalars(select(gate_result.c.run)))


@pytest.mark.parametrize("signal_number", SIGNALS)
def test_connection_opened_before_a_restart_is_replaced(server, engine, rows, tmp_path, signal_number):
    lake = Lake(str(tmp_path))
    for number in (1, 2):
        run_quality_gate(READINGS, rows(), [DAY], lake=lake, engine=engine, run=f"nightly/{number}")
        server.stop(signal_number)
        server.start()
    assert recorded(engine) == ["nightly/1", "nightly/2"]


def test_validation_fails_and_publishes_nothing_while_it_is_down(server, engine, rows, tmp_path):
    lake = Lake(str(tmp_path))
    rejected = rows().assign(value="a lot")
    server.stop()
    try:
        with pytest.raises(DBAPIError, match="Connection refused"):
            run_quality_gate(READINGS, rejected, [DAY], lake=lake, engine=engine, run="nightly/1")
        assert lake.version("readings_quarantine") is None
    finally:
        server.start()
    run_quality_gate(READINGS, rejected, [DAY], lake=lake, engine=engine, run="nightly/2")
    assert recorded(engine) == ["nightly/2"]
    assert len(lake.read("readings_quarantine")) == 3


@pytest.mark.parametrize("signal_number", SIGNALS)
def test_retry_after_a_restart_in_validation_records_once(server, engine, rows, tmp_path, signal_number):
    lake = Lake(str(tmp_path))
    rejected = rows().assign(value="a lot")
    with server.restarted_at_a_locked_table("gate_result", engine, signal_number), pytest.raises(DBAPIError):
        run_quality_gate(READINGS, rejected, [DAY], lake=lake, engine=engine, run="nightly/1")
    assert recorded(engine) == []
    assert lake.version("readings_quarantine") is None
    run_quality_gate(READINGS, rejected, [DAY], lake=lake, engine=engine, run="nightly/2")
    assert recorded(engine) == ["nightly/2"]
    assert len(lake.read("readings_quarantine")) == 3


@pytest.mark.parametrize("signal_number", SIGNALS)
def test_retry_after_a_restart_in_a_promotion_promotes_once(server, engine, signal_number):
    lease = rollout.begin(engine, "delay", 1, owner="deployment/1", actor="ann")
    with server.restarted_at_a_locked_table("ledger", engine, signal_number), pytest.raises(DBAPIError):
        rollout.promote(engine, lease, reason="better", evidence={})
    with engine.connect() as connection:
        assert rollout.read_state(connection, "delay").champion is None
    for _ in range(2):
        rollout.promote(engine, lease, reason="better", evidence={})
    with engine.connect() as connection:
        assert rollout.read_state(connection, "delay").champion == 1
        events = [entry["event"] for entry in ledger.ledger_entries(connection, "delay")]
    assert events.count("promoted") == 1
