"""The declared query of a dataset, as it is sent to its database."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DBAPIError

from include.data.sources.dialects import bind, dialect_of
from include.errors import DataError, ServiceUnavailable
from include.sql_tokens import PARAMETERS, Token, parameters, single_statement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, CursorResult, Engine

    from include.data.sources.dialects import Dialect
    from include.declarations import DatabaseSource, Dataset


@dataclass(frozen=True, slots=True)
class PartitionQuery:
    """
    A query with the bind parameters `:start` and `:end`.

    Parameters
    ----------
    dataset
        The dataset of the query.
    source
        The source of the dataset.
    engine
        Engine of the database.
    """

    dataset: Dataset
    source: DatabaseSource
    engine: Engine

    @property
    def dialect(self) -> Dialect:
        """Differences of the database."""
        return dialect_of(self.engine)

    @property
    def zone(self) -> ZoneInfo:
        """Zone of the session, and of moments without one."""
        return ZoneInfo(self.source.time_zone or "UTC")

    @contextmanager
    def transaction(self, timeout_s: int, location: str) -> Iterator[Connection]:
        """
        Yield a connection whose transaction is read-only and, where the database can, as of one moment.

        Parameters
        ----------
        timeout_s
            Seconds after which a statement is cancelled.
        location
            What is read from where, for messages.

        Raises
        ------
        DataError
            If the database refuses the query.
        ServiceUnavailable
            If the database is away or busy.
        """
        dialect = self.dialect
        try:
            with (
                self.engine.connect().execution_options(**dialect.options) as connection,
                connection.begin(),
            ):
                # Only a connection says whether the server of a MySQL address is a MariaDB.
                self.dialect.begin(connection, self.zone, timeout_s)
                yield connection
        except DBAPIError as error:
            message = " ".join(str(_primary_message(error)).split())
            if error.connection_invalidated or dialect.is_transient(error):
                raise ServiceUnavailable(
                    f"The database of {location} is away or busy: {message}. Check that it is up."
                ) from error
            raise DataError(
                f"{location} fails: {message}. Correct the query, or the permissions of its user. The query "
                f"is: {self.source.query.strip()}"
            ) from error

    def execute(self, connection: Connection, start: datetime, end: datetime) -> CursorResult[Any]:
        """Return the rows from `start` to before `end`."""
        return self._execute(connection, self._statement(), start, end)

    def newest_change(self, connection: Connection, start: datetime, end: datetime) -> Any:
        """
        Return the greatest watermark: a moment with a time zone or a whole number, None if there are no rows.

        Raises
        ------
        DataError
            If the watermark is neither.
        """
        name = self.source.watermark or ""
        column = self.engine.dialect.identifier_preparer.quote_identifier(name)
        statement = [
            # The query and the name are declared by the owner of the dataset.
            Token("code", f"SELECT max({column}) FROM ("),  # noqa: S608
            *self._statement(),
            Token("code", ") partition_rows"),
        ]
        newest = self._execute(connection, statement, start, end).scalar_one()
        if newest is None or isinstance(newest, int):
            return newest
        if isinstance(newest, Decimal) and newest == int(newest):
            return int(newest)
        moment = self.dialect.parse_moment(newest)
        if moment is None:
            raise DataError(
                f"The watermark {name} of {self.dataset.name} is of type {type(newest).__name__}: choose "
                "a column of moments or whole numbers that grows with every change."
            )
        if moment.tzinfo is None and self.source.time_zone is None:
            raise DataError(
                f"The watermark {name} of {self.dataset.name} has moments without a time zone. Name their "
                "zone as `time_zone` of the source, or return moments with one."
            )
        return self.with_zone(newest)

    def with_zone(self, value: Any) -> Any:
        """Return a moment without a time zone as one in the declared zone; other values are unchanged."""
        moment = self.dialect.parse_moment(value)
        if moment is None:
            return value
        return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)

    def _statement(self) -> list[Token]:
        """Return the declared query without what may follow it, such as a semicolon or a comment."""
        query = self.source.query
        try:
            statement = single_statement(query, self.dialect.rules)
        except ValueError as error:
            raise DataError(
                f"The query of {self.dataset.name} is refused: {error}. It is: {query}"
            ) from error
        lacking = [f":{name}" for name in PARAMETERS if name not in parameters(statement)]
        if lacking:
            raise DataError(
                f"The query of {self.dataset.name} has no {' and no '.join(lacking)} outside literals and "
                f"comments, by the rules of {self.engine.dialect.name}. Correct it; it is: {query}"
            )
        return statement

    def _execute(
        self, connection: Connection, tokens: list[Token], start: datetime, end: datetime
    ) -> CursorResult[Any]:
        dialect = self.dialect
        bounds = {"start": dialect.parameter(start, self.zone), "end": dialect.parameter(end, self.zone)}
        statement, values = bind(tokens, bounds, self.engine.dialect.paramstyle)
        return connection.exec_driver_sql(statement, values)


def _primary_message(error: DBAPIError) -> object:
    """Return the message without the line of the statement, which is not the declared one."""
    return getattr(getattr(error.orig, "diag", None), "message_primary", None) or error.orig
