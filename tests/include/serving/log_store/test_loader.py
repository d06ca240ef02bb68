from __future__ import annotations

import pytest
from sqlalchemy import select, text

from include.serving.log_store.loader import DatabaseAwayError, TableLoader
from tests.include.serving.log_store.conftest import ENTRIES, line_of


def test_documents_become_rows(loader, entries, database) -> None:
    odd = 'a\\b "c"\té\n'
    assert loader.load([line_of(1, text=odd), line_of(2)]) == []
    assert entries() == [1, 2]
    with database.connect() as connection:
        assert list(connection.scalars(select(ENTRIES.c.text).order_by(ENTRIES.c.number))) == [odd, None]


def test_a_document_that_is_loaded_again_is_one_row(loader, entries) -> None:
    line = line_of(1)
    assert loader.load([line, line]) == []
    assert loader.load([line, line_of(2)]) == []
    assert entries() == [1, 2]


@pytest.mark.parametrize(
    "poison",
    [line_of("x"), line_of(None), line_of(1, text="\x00"), b'{"id": "half', b"\xff"],
    ids=["text", "null", "zero byte", "half", "no UTF-8"],
)
def test_a_refused_document_is_returned_alone(loader, entries, poison: bytes) -> None:
    good = [line_of(number) for number in range(7)]
    assert loader.load([*good[:3], poison, *good[3:]]) == [poison]
    assert entries() == list(range(7))


def test_a_read_only_database_refuses_no_document(loader, entries, database) -> None:
    with database.begin() as connection:
        name = connection.scalar(text("SELECT quote_ident(current_database())"))
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with pytest.raises(DatabaseAwayError, match="read-only"):
        loader.load([line_of(1)])


def test_a_missing_table_refuses_no_document(loader, database) -> None:
    ENTRIES.drop(database)
    with pytest.raises(DatabaseAwayError, match="does not exist"):
        loader.load([line_of(1)])


def test_an_unreachable_database_refuses_no_document(free_port) -> None:
    away = TableLoader(f"postgresql+psycopg2://nobody@127.0.0.1:{free_port}/nothing", ENTRIES)
    with pytest.raises(DatabaseAwayError, match="refused"):
        away.load([line_of(1)])
