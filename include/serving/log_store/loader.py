"""COPY of JSON documents to a table, which finds the documents that the database does not accept."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import create_engine, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from include.database.tables import log_watermark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Engine, Table

# Classes of SQLSTATE that are the fault of a record: wrong data, a broken constraint, a value that is too
# large. After any other error the records are kept and loaded later.
DATA_ERRORS = ("22", "23", "54")
INCOMING = "airworthy_incoming"
# A server that vanished is noticed after this time.
CONNECTION = {
    "connect_timeout": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c statement_timeout=10000 -c idle_in_transaction_session_timeout=30000",
}


class DatabaseAwayError(Exception):
    """The database cannot take records now; none of the records was loaded."""


class TableLoader:
    """
    Loads documents with the names of a table's columns; a document that is loaded again is ignored.

    Parameters
    ----------
    url
        Address of the database.
    table
        A table whose primary key the documents have.
    """

    def __init__(self, url: str, table: Table) -> None:
        self._engine: Engine = create_engine(
            url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True,
            connect_args=CONNECTION,
        )  # fmt: skip
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        row = f"jsonb_populate_record(NULL::{table.name}, line::jsonb)"
        self._insert = (
            f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {INCOMING} "  # noqa: S608  names of columns
            f"CROSS JOIN LATERAL {row} ON CONFLICT DO NOTHING"
        )

    def load(self, lines: Sequence[bytes]) -> list[bytes]:
        """
        Load lines in one transaction, and return those that the database does not accept.

        Raises
        ------
        DatabaseAwayError
            If the database cannot be reached, is read-only or full, or fails in any other way.
        """
        if not lines:
            return []
        try:
            self._copy(lines)
        except psycopg2.Error as error:
            if not (error.pgcode or "").startswith(DATA_ERRORS):
                raise DatabaseAwayError(str(error).strip()) from error
        except DBAPIError as error:
            raise DatabaseAwayError(str(error.orig).strip()) from error
        else:
            return []
        if len(lines) == 1:
            return list(lines)
        middle = len(lines) // 2
        return self.load(lines[:middle]) + self.load(lines[middle:])

    def mark(self, log: str, complete_until: datetime) -> None:
        """
        Record that a log has everything that ended before a moment.

        Raises
        ------
        DatabaseAwayError
            If the database does not take it.
        """
        statement = insert(log_watermark).values(log=log, complete_until=complete_until)
        latest = func.greatest(log_watermark.c.complete_until, complete_until)
        upsert = statement.on_conflict_do_update(index_elements=["log"], set_={"complete_until": latest})
        try:
            with self._engine.begin() as connection:
                connection.execute(upsert)
        except DBAPIError as error:
            raise DatabaseAwayError(str(error.orig).strip()) from error

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _copy(self, lines: Sequence[bytes]) -> None:
        # JSON has no tabs or ends of lines; only the backslash has a meaning in the format of COPY.
        content = io.BytesIO(b"".join(line.replace(b"\\", b"\\\\") + b"\n" for line in lines))
        connection: Any = self._engine.raw_connection()
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"CREATE TEMPORARY TABLE IF NOT EXISTS {INCOMING} (line text) ON COMMIT DELETE ROWS"
                )
                cursor.copy_expert(f"COPY {INCOMING} (line) FROM STDIN (ENCODING 'UTF8')", content)
                cursor.execute(self._insert)
            connection.commit()
        finally:
            # Rolls back what was not committed.
            connection.close()
