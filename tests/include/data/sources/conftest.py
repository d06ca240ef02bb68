"""Fixtures of the tests of queries: a PostgreSQL database with a table of orders."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine, text


@pytest.fixture(scope="module")
def shop(postgres):
    admin = create_engine(postgres.create_database("upstream"))
    with admin.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE orders (id text PRIMARY KEY, amount numeric, paid boolean, "
                "placed_at timestamptz, changed_at timestamptz, "
                "revision bigint GENERATED ALWAYS AS IDENTITY)"
            )
        )
    yield admin.url
    admin.dispose()


@pytest.fixture
def engine(shop):
    engine = create_engine(shop)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE orders RESTART IDENTITY"))
    yield engine
    engine.dispose()


@pytest.fixture
def order(engine):
    """Return a function that writes an order of a day; by default it changed when it was placed."""

    def write(name, day, changed=None, amount=1.5, hour=12):
        placed = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        values = {"id": name, "amount": amount, "placed": placed, "changed": changed or placed}
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO orders VALUES (:id, :amount, true, :placed, :changed) "
                    "ON CONFLICT (id) DO UPDATE SET amount = :amount, changed_at = :changed"
                ),
                values,
            )

    return write
