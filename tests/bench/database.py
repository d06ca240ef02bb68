"""A PostgreSQL server of its own, for measurements that need no other part of the stack."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from include.database.migrate import upgrade
from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.stack.embedded.postgres import SUPERUSER, Postgres
from tests.conftest import UNSAFE_BUT_FAST, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL, Engine

PASSWORD = "only-for-benchmarks"
START_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.1
NAME = "airworthy"


@contextmanager
def temporary_database(folder: Path) -> Iterator[Engine]:
    """Run a server below the folder; the engine is of its migrated database, the server ends with it."""
    folder.mkdir(parents=True)
    server = Postgres(folder / "data", free_ports(1)[0])
    server.initialise(PASSWORD)
    with (folder / "log").open("w") as output:
        process = subprocess.Popen(server.command(**UNSAFE_BUT_FAST), stdout=output, stderr=output)
    try:
        admin = server.admin(PASSWORD)
        _wait(admin.url)
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {NAME}"))
        admin.dispose()
        engine = connect(server.url(NAME, SUPERUSER, PASSWORD))
        upgrade(engine)
        yield engine
        engine.dispose()
    finally:
        # SIGINT is the fast shutdown of PostgreSQL.
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _wait(url: URL) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with create_engine(url).connect():
                return
        except OperationalError as error:
            if time.monotonic() > end:
                raise ServiceUnavailable("PostgreSQL did not start.") from error
            time.sleep(POLL_INTERVAL_S)
