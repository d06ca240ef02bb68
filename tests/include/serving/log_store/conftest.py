from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, Uuid, func, select

from include.serving.log_store.loader import TableLoader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine

ENTRIES = Table(
    "entries",
    MetaData(),
    Column("id", Uuid, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("text", Text),
)


def line_of(number: object, **values: Any) -> bytes:
    return json.dumps({"id": str(uuid.uuid4()), "number": number} | values).encode()


@pytest.fixture
def entries(database: Engine) -> Callable[[], list[int]]:
    """Create the table, and return a function that lists its numbers."""
    ENTRIES.create(database)

    def numbers() -> list[int]:
        with database.connect() as connection:
            return list(connection.scalars(select(ENTRIES.c.number).order_by(ENTRIES.c.number)))

    return numbers


@pytest.fixture
def loader(entries: object, database_url: str) -> Iterator[TableLoader]:
    built = TableLoader(database_url, ENTRIES)
    yield built
    built.close()


def count(database: Engine) -> int:
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(ENTRIES)) or 0
