"""Hook for the database with the ledger, the desired state and the evidence."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

    from airflow.sdk import Connection


def url_of(connection: Connection | Any) -> URL:
    """Return the SQLAlchemy address of an Airflow connection to PostgreSQL."""
    from sqlalchemy import URL

    return URL.create(
        "postgresql+psycopg2",
        username=connection.login,
        password=connection.password,
        host=connection.host,
        port=connection.port,
        database=connection.schema,
    )


class AirworthyDatabaseHook(BaseHook):
    """Creates the SQLAlchemy engine of an Airflow connection to PostgreSQL."""

    conn_name_attr = "airworthy_conn_id"
    default_conn_name = "airworthy_db"

    def __init__(self, airworthy_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.airworthy_conn_id = airworthy_conn_id

    @cached_property
    def engine(self) -> Engine:
        """Engine, created on first use."""
        from include.database.tables import connect

        return connect(url_of(self.get_connection(self.airworthy_conn_id)))
