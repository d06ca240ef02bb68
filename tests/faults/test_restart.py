"""PostgreSQL restarted in the middle: no evidence is lost, none is there twice, and the work goes on."""

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
    description="A sensor's.",
    source=FileSource(path="readings/{partition}.csv"),
    columns=(Column(name="id", dtype="string"), Column(name="value", dtype="number")),
    key=("id",),
    first_partition=DAY,
)
HOWS = [pytest.param(signal.SIGINT, id="restart"), pytest.param(signal.SIGQUIT, id="crash")]


class Server:
    """A PostgreSQL of this module's own, to be restarted as often as one likes."""

    def __init__(self, folder):
        self.folder, self.postgres = folder, Postgres(folder / "data", free_ports(1)[0])
        self.postgres.initialise(PASSWORD)
        self.admin = self.postgres.admin(PASSWORD)

    def start(self):
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(self.postgres.command(fsync="off"), stdout=log, stderr=log)
        wait_until(self.answers, 30, f"PostgreSQL, see {self.folder / 'log'}")

    def stop(self, how=signal.SIGINT):
        """`SIGINT` ends every connection politely, `SIGQUIT` as a crash does."""
        self.process.send_signal(how)
        self.process.wait(30)

    def answers(self):
        try:
            with self.admin.connect():
                return True
        except DBAPIError:
            return False

    @contextmanager
    def restarted_when_it_waits_for(self, table, engine, how):
        """Restart while the work waits, in the middle of its transaction, for a table that is locked."""
        held = engine.connect()
        held.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        stop = threading.Thread(target=self._stop_when_one_waits, args=(how,))
        stop.start()
        try:
            yield
        finally:
            stop.join()
            self.start()  # from here: it ends with the thread that started it
            held.invalidate()
            held.close()

    def _stop_when_one_waits(self, how):
        waits = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        with self.admin.connect() as watch:
            wait_until(lambda: watch.scalar(waits), 30, "somebody to wait for the lock")
        self.stop(how)


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


@pytest.mark.parametrize("how", HOWS)
def test_a_connection_that_was_open_before_a_restart_is_replaced(server, engine, rows, tmp_path, how):
    lake = Lake(str(tmp_path))
    for number in (1, 2):
        run_quality_gate(READINGS, rows(), [DAY], lake=lake, engine=engine, run=f"nightly/{number}")
        server.stop(how)
        server.start()
    assert recorded(engine) == ["nightly/1", "nightly/2"]


def test_while_it_is_away_validation_fails_as_an_accident_and_nothing_is_admitted(
    server, engine, rows, tmp_path
):
    lake, refused = Lake(str(tmp_path)), rows().assign(value="a lot")
    server.stop()
    try:
        with pytest.raises(DBAPIError, match="Connection refused"):
            run_quality_gate(READINGS, refused, [DAY], lake=lake, engine=engine, run="nightly/1")
        assert lake.version("readings_quarantine") is None
    finally:
        server.start()
    run_quality_gate(READINGS, refused, [DAY], lake=lake, engine=engine, run="nightly/2")
    assert recorded(engine) == ["nightly/2"]
    assert len(lake.read("readings_quarantine")) == 3


@pytest.mark.parametrize("how", HOWS)
def test_restarted_in_the_middle_of_validation_the_next_try_leaves_evidence_once(
    server, engine, rows, tmp_path, how
):
    lake, refused = Lake(str(tmp_path)), rows().assign(value="a lot")
    with server.restarted_when_it_waits_for("gate_result", engine, how), pytest.raises(DBAPIError):
        run_quality_gate(READINGS, refused, [DAY], lake=lake, engine=engine, run="nightly/1")
    assert recorded(engine) == []
    assert lake.version("readings_quarantine") is None
    run_quality_gate(READINGS, refused, [DAY], lake=lake, engine=engine, run="nightly/2")
    assert recorded(engine) == ["nightly/2"]
    assert len(lake.read("readings_quarantine")) == 3


@pytest.mark.parametrize("how", HOWS)
def test_restarted_in_the_middle_of_a_promotion_it_happened_wholly_or_not_and_the_next_try_does_it_once(
    server, engine, how
):
    lease = rollout.begin(engine, "delay", 1, owner="deployment/1", actor="ann")
    with server.restarted_when_it_waits_for("ledger", engine, how), pytest.raises(DBAPIError):
        rollout.promote(engine, lease, reason="better", evidence={})
    with engine.connect() as connection:
        assert rollout.read_state(connection, "delay").champion is None
    for _ in range(2):
        rollout.promote(engine, lease, reason="better", evidence={})
    with engine.connect() as connection:
        assert rollout.read_state(connection, "delay").champion == 1
        events = [entry["event"] for entry in ledger.ledger_entries(connection, "delay")]
    assert events.count("promoted") == 1
