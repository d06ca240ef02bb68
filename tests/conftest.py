"""Services that tests share: PostgreSQL, a migrated database, MLflow, an object store, free ports."""

from __future__ import annotations

import functools
import itertools
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import hypothesis
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError
from xdist.scheduler import LoadFileScheduling

from include.database.migrate import upgrade
from include.database.tables import connect
from include.stack.embedded.postgres import SUPERUSER, Postgres
from tests.faults import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from xdist.remote import Producer

# As in the stack.
os.environ["MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD"] = "false"
# A client of httpx reads all certificates anew, 20 ms each time, even if its server is on this machine.
ssl.create_default_context = functools.cache(ssl.create_default_context)  # type: ignore[assignment]
# The processes of the tests keep all cores busy; OpenMP threads would only wait for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no failure.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")
PASSWORD = "only-for-tests"
# The folder of the bucket for the artifacts of MLflow.
ARTIFACTS = "mlflow"
# Folders whose tests share a server that others do not need; one process gets all tests of such a folder.
STACK = "tests/system/"
REGISTRY = "tests/include/modeling/registry/"
LONGEST = ("tests/faults/", "tests/plugins/", "tests/scenarios/", "tests/include/modeling/")
UNSAFE_BUT_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class StackScheduling(LoadFileScheduling):  # type: ignore[misc]
    """One process gets the tests of a file at a time, and one gets all tests of the stack or the registry."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return next((folder for folder in (STACK, REGISTRY) if nodeid.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StackScheduling:
    return StackScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests of the stack, which mostly wait, and then with the longest files."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
    items.sort(key=lambda item: not item.nodeid.startswith(STACK))


@dataclass(frozen=True)
class PostgresServer:
    """The PostgreSQL server of the test session; each database is new and used by one test or service."""

    server: Postgres
    admin: Engine

    def create_database(self, name: str = "test", template: str = "template0") -> str:
        """Create a database whose name begins with `name` and return its SQLAlchemy URL."""
        database = f"{name}_{uuid.uuid4().hex[:12]}"
        with self.admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{database}" TEMPLATE "{template}"'))
        return self.url(database)

    def url(self, database: str) -> str:
        return self.server.url(database, SUPERUSER, PASSWORD).render_as_string(hide_password=False)


def wait_until(condition: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait until the condition holds; fail the test and name `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:g} s for {what or condition}")
        time.sleep(0.05)


# Below the ports that Linux gives to connections, so that none of them takes a port before its server starts.
# Each process of the tests has its own.
FIRST_PORT = 10_000
PORTS_PER_PROCESS = 2_500
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = FIRST_PORT + _worker * PORTS_PER_PROCESS
_ports = itertools.cycle(random.sample(range(_first, _first + PORTS_PER_PROCESS), PORTS_PER_PROCESS))


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports that are free now; each is given again only after all others."""
    return list(itertools.islice(filter(_is_free, _ports), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def free_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = Postgres(tmp_path_factory.mktemp("postgres") / "data", free_ports(1)[0])
    server.initialise(PASSWORD)
    log = server.folder.parent / "log"
    admin = server.admin(PASSWORD)
    with log.open("w") as output:
        process = subprocess.Popen(server.command(**UNSAFE_BUT_FAST), stdout=output, stderr=output)
    try:
        wait_until(lambda: _accepts_connections(admin), 20, f"PostgreSQL, see {log}")
        yield PostgresServer(server, admin)
    finally:
        admin.dispose()
        # SIGINT is the fast shutdown of PostgreSQL.
        process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    url = postgres.create_database("airworthy_template")
    engine = connect(url)
    upgrade(engine)
    engine.dispose()
    return url.rsplit("/", 1)[1]


@pytest.fixture
def database_url(postgres: PostgresServer, migrated_template: str) -> str:
    """Return the URL of a new, migrated airworthy database."""
    return postgres.create_database("airworthy", migrated_template)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """Return an engine of a new, migrated airworthy database."""
    engine = connect(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def mlflow_server(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the URL of an MLflow server that writes artifacts to a folder, as in the embedded stack."""
    folder = tmp_path_factory.mktemp("mlflow")
    with run_mlflow(folder, postgres, str(folder / "artifacts")) as uri:
        yield uri


@pytest.fixture(scope="session")
def mlflow_on_store(
    postgres: PostgresServer, object_store: store.ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """
    Return the URL of an MLflow server that writes artifacts to the object store.

    It is for the tests of artifacts themselves: each file costs ten times as much CPU time as in a folder.
    """
    folder = tmp_path_factory.mktemp("mlflow")
    artifacts = f"s3://{object_store.bucket}/{ARTIFACTS}"
    with run_mlflow(folder, postgres, artifacts, **object_store.variables()) as uri:
        yield uri


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[store.ObjectStore]:
    """Return an S3 endpoint with an empty bucket: `AIRWORTHY_TEST_S3_ENDPOINT`, else moto's server."""
    if os.environ.get(store.ENDPOINT):
        endpoint = store.use_endpoint()
    else:
        endpoint = store.run_moto(tmp_path_factory.mktemp("s3"), free_ports(1)[0])
    with endpoint as object_store:
        yield object_store


@contextmanager
def run_mlflow(folder: Path, postgres: PostgresServer, artifacts: str, **secrets: str) -> Iterator[str]:
    """Run an MLflow server on a new database, with its log in `folder`, and yield its URL."""
    port = free_ports(1)[0]
    secrets["MLFLOW_BACKEND_STORE_URI"] = postgres.create_database("mlflow")
    process = start_mlflow(folder, port, artifacts, secrets)
    uri = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: is_healthy(f"{uri}/health", process), 120, f"MLflow, see {folder / 'log'}")
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def start_mlflow(
    folder: Path, port: int, artifacts: str, secrets: dict[str, str], *, prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start an MLflow server that logs to `folder`; `prefix` is a command that runs it."""
    command = [
        *prefix, "setpriv", "--pdeathsig=TERM", sys.executable, "-m", "mlflow", "server",
        "--host=127.0.0.1", f"--port={port}", "--workers=1",
        f"--artifacts-destination={artifacts}",
    ]  # fmt: skip
    quiet_settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=os.environ | quiet_settings | secrets,
            start_new_session=True,
        )


def is_healthy(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Return whether `url` responds with success; fail the test if its process has ended."""
    if process.poll() is not None:
        pytest.fail(f"the process behind {url} ended with {process.returncode}")
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False


def _accepts_connections(engine: Engine) -> bool:
    try:
        with create_engine(engine.url).connect() as connection:
            return bool(connection.scalar(text("SELECT true")))
    except OperationalError:
        return False
