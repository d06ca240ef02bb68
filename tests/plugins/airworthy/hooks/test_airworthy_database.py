from __future__ import annotations

from types import SimpleNamespace

from sqlalchemy import text

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook, url_of


def test_engine_reaches_the_database_of_the_connection(database):
    with AirworthyDatabaseHook().engine.connect() as session:
        assert session.scalar(text("SELECT current_database()")) == database.url.database


def test_password_may_contain_any_character():
    parts = {"login": "ann", "host": "db", "port": 5432, "schema": "airworthy"}
    url = url_of(SimpleNamespace(**parts, password="a@b/c:d%20"))
    assert url.password == "a@b/c:d%20"
    assert url.render_as_string(hide_password=False).startswith("postgresql+psycopg2://ann:a%40b%2Fc")


def test_repr_of_the_engine_contains_no_password(database):
    assert database.url.password not in repr(AirworthyDatabaseHook().engine)
