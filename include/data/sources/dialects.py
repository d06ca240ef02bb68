"""What differs between databases that a query is sent to: session, clock, parameters, transient errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from include.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError

    from include.sql_tokens import Rules, Token

BoundStatement: TypeAlias = tuple[str, dict[str, Any] | tuple[Any, ...]]

# Seconds in which a connection must be there.
CONNECT_TIMEOUT_S = 30
# The package on PyPI of a driver's module, where it has another name.
_PACKAGES = {"MySQLdb": "mysqlclient", "mysql": "mysql-connector-python"}
# SQLSTATE of PostgreSQL: connection, conflict, resources, shutdown, lock.
_TRANSIENT_STATES = ("08", "40", "53", "57P", "55P03")
# MySQL: too many connections, shutdown, lock wait, deadlock, no connection, connection lost.
_TRANSIENT_CODES = {1040, 1053, 1205, 1213, 2002, 2003, 2006, 2013}
_TRANSIENT_SQLITE = ("locked", "busy", "disk I/O error")


def _keep_text_beyond_python(connection: Any) -> None:
    from psycopg2 import extensions

    for cast in (extensions.PYDATETIMETZ, extensions.PYDATETIME):

        def read(text: str | None, cursor: Any, cast: Any = cast) -> Any:
            # A year of four digits ends before a hyphen; longer ones and infinity do not.
            is_common = text is None or (text[4:5] == "-" and not text.endswith("BC"))
            return cast(text, cursor) if is_common else text

        extensions.register_type(extensions.new_type(cast.values, cast.name, read), connection)


def _by_class(error: DBAPIError) -> bool:
    return type(error).__name__ in {"OperationalError", "InterfaceError"}


def _by_sqlstate(error: DBAPIError) -> bool:
    state = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")
    return state.startswith(_TRANSIENT_STATES) if state else _by_class(error)


def _by_code(error: DBAPIError) -> bool:
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    return bool(arguments) and arguments[0] in _TRANSIENT_CODES


def _by_message(error: DBAPIError) -> bool:
    return any(word in str(error.orig) for word in _TRANSIENT_SQLITE)


def _read_bits(row: Sequence[Any], is_bits: Sequence[bool]) -> list[Any]:
    """Return the values of a row, with those that are bits as whole numbers."""
    return [
        int.from_bytes(value) if is_bit and isinstance(value, bytes) else value
        for value, is_bit in zip(row, is_bits, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Dialect:
    """
    Differences of one database.

    Attributes
    ----------
    session
        Statements that make the transaction read-only, as of one moment and limited in time, with
        `{zone}`, `{offset_zone}`, `{ms}` and `{s}`.
    options
        SQLAlchemy's options of the connection.
    connect_args
        Arguments of the driver, with `{application}`.
    now
        Query of the database's clock, in UTC; without it, the clock of this process is used.
    has_zoned_parameters
        Whether a parameter keeps its time zone; otherwise it is given without one.
    is_transient
        Whether an error may be cured by a retry.
    rules
        Rules by which a query is split into tokens.
    bit_type
        Type code of the driver's columns of bits, whose values are bytes; None if there are none.
    """

    session: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    connect_args: Mapping[str, Any] = field(default_factory=dict)
    now: str | None = None
    has_zoned_parameters: bool = False
    is_transient: Callable[[DBAPIError], bool] = _by_class
    rules: Rules = "standard"
    bit_type: int | None = None

    def begin(self, connection: Connection, zone: ZoneInfo, timeout_s: int) -> None:
        """Prepare the transaction of a connection."""
        values = {"zone": zone.key, "offset_zone": "+00:00" if zone.key == "UTC" else zone.key}
        for statement in self.session:
            connection.exec_driver_sql(statement.format(**values, s=timeout_s, ms=1000 * timeout_s))

    def current_time(self, connection: Connection) -> datetime:
        """Return the present moment."""
        if self.now is None:
            return datetime.now(UTC)
        now: Any = connection.exec_driver_sql(self.now).scalar_one()
        moment: datetime = datetime.fromisoformat(now) if isinstance(now, str) else now
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def parameter(self, moment: datetime, zone: ZoneInfo) -> Any:
        """Return a moment as a parameter of a query."""
        if self.has_zoned_parameters:
            return moment
        return moment.astimezone(zone).replace(tzinfo=None)

    def read_rows(self, rows: Sequence[Sequence[Any]], type_codes: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Return the rows of the driver with bits as whole numbers, by the type code of each column."""
        is_bits = [self.bit_type is not None and code == self.bit_type for code in type_codes]
        if not any(is_bits):
            return rows
        return [_read_bits(row, is_bits) for row in rows]

    def parse_moment(self, value: Any) -> datetime | None:
        """Return a value of the driver as a moment; None if it is none."""
        return value if isinstance(value, datetime) else None


class _Postgresql(Dialect):
    """psycopg2 reads infinity as the year 9999, and raises an error for years that Python does not have."""

    def begin(self, connection: Connection, zone: ZoneInfo, timeout_s: int) -> None:
        super().begin(connection, zone, timeout_s)
        if connection.dialect.driver == "psycopg2":
            _keep_text_beyond_python(connection.connection.dbapi_connection)


class _Sqlite(Dialect):
    """SQLite has no type of moments: they are text, here without fractions of a second."""

    def parameter(self, moment: datetime, zone: ZoneInfo) -> Any:
        return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S}"

    def parse_moment(self, value: Any) -> datetime | None:
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            return None


_MYSQL_SESSION = ("SET time_zone = '{offset_zone}'", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
_MYSQL_BIT = 16
_REPEATABLE = {"isolation_level": "REPEATABLE READ"}
DIALECTS = {
    "postgresql": _Postgresql(
        session=("SET LOCAL TimeZone TO '{zone}'", "SET LOCAL statement_timeout = {ms}"),
        options=_REPEATABLE | {"postgresql_readonly": True},
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "{application}"},
        now="SELECT now()",
        has_zoned_parameters=True,
        is_transient=_by_sqlstate,
    ),
    "mysql": Dialect(
        session=("SET SESSION max_execution_time = {ms}", *_MYSQL_SESSION),
        options=_REPEATABLE,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        now="SELECT UTC_TIMESTAMP(6)",
        is_transient=_by_code,
        rules="mysql",
        bit_type=_MYSQL_BIT,
    ),
    "mariadb": Dialect(
        session=("SET SESSION max_statement_time = {s}", *_MYSQL_SESSION),
        options=_REPEATABLE,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
        now="SELECT UTC_TIMESTAMP(6)",
        is_transient=_by_code,
        rules="mysql",
        bit_type=_MYSQL_BIT,
    ),
    "sqlite": _Sqlite(
        session=("PRAGMA query_only = ON", "BEGIN"), now="SELECT CURRENT_TIMESTAMP", is_transient=_by_message
    ),
}


def open_engine(url: URL, *, conn_id: str, application: str) -> Engine:
    """
    Return an engine without a pool.

    Parameters
    ----------
    url
        Address of the database; its scheme names SQLAlchemy's dialect and driver.
    conn_id
        Name of the Airflow connection, for messages.
    application
        Name that the database shows for the session, where it has one.

    Raises
    ------
    SettingsError
        If the dialect or its driver is not installed.
    """
    dialect = DIALECTS.get(url.get_backend_name(), Dialect())
    arguments = {
        name: value.format(application=application) if isinstance(value, str) else value
        for name, value in dialect.connect_args.items()
    }
    try:
        return create_engine(url, connect_args=arguments, poolclass=NullPool)
    except ModuleNotFoundError as error:
        package = _PACKAGES.get((error.name or "").partition(".")[0], error.name)
        raise SettingsError(
            f"The connection {conn_id} is for {url.drivername}, whose driver is not installed: add the "
            f"package {package} to requirements.in."
        ) from error
    except (NoSuchModuleError, ArgumentError) as error:
        raise SettingsError(
            f"The connection {conn_id} is for {url.drivername}, which SQLAlchemy does not have: correct its "
            "type, or add the package with this dialect to requirements.in."
        ) from error


def dialect_of(engine: Engine) -> Dialect:
    """
    Return the differences of an engine's database; for an unknown one, those of the standard.

    After its first connection, an engine for MySQL says whether its server is a MariaDB.
    """
    is_mariadb = getattr(engine.dialect, "is_mariadb", False)
    return DIALECTS.get("mariadb" if is_mariadb else engine.dialect.name, Dialect())


def bind(tokens: Sequence[Token], values: Mapping[str, Any], paramstyle: str) -> BoundStatement:
    """
    Return a statement and its parameters as a driver takes them.

    SQLAlchemy's `text()` cannot be used: it takes each `:word` for a parameter, also in literals.

    Parameters
    ----------
    tokens
        Tokens of the statement.
    values
        Value of each parameter.
    paramstyle
        `paramstyle` of the driver (PEP 249).
    """
    style = {"pyformat": "%({name})s", "format": "%s", "qmark": "?", "named": ":{name}"}.get(paramstyle)
    doubled = paramstyle in {"pyformat", "format"}
    parts: list[str] = []
    names: list[str] = []
    for token in tokens:
        if token.kind == "parameter":
            names.append(token.text[1:])
            # Numeric parameters are `:1`, `:2`; asyncpg's `$1` is no driver of a synchronous engine.
            parts.append(style.format(name=names[-1]) if style else f":{len(names)}")
        else:
            parts.append(token.text.replace("%", "%%") if doubled else token.text)
    statement = "".join(parts)
    if paramstyle in {"pyformat", "named"}:
        return statement, dict(values)
    return statement, tuple(values[name] for name in names)
