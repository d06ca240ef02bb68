"""Advisory locks of PostgreSQL, named by a text; the server frees those of a process that dies."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.sql.functions import Function

LOCK_TIMEOUT_S = 120.0


@contextmanager
def advisory_lock(engine: Engine | None, key: str, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """
    Hold the lock `key` while the block runs, in a transaction of its own.

    Parameters
    ----------
    engine
        Database of the lock. Without one the block runs without a lock.
    key
        What is locked, such as `registry/flight_delay`.
    timeout_s
        Seconds to wait for another holder.

    Raises
    ------
    ServiceUnavailable
        If the lock is held for longer than `timeout_s`, or the database does not answer.
    """
    if engine is None:
        yield
        return
    with engine.connect() as connection:
        try:
            timeout = {"timeout": f"{round(1000 * timeout_s)}ms"}
            connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), timeout)
            lock_transaction(connection, key)
        except OperationalError as error:
            raise ServiceUnavailable(
                f"The lock {key!r} was not free within {timeout_s:g} s: another attempt holds it, or the "
                "database does not answer. Try again."
            ) from error
        yield


def lock_transaction(connection: Connection, key: str) -> None:
    """Wait for the lock `key` and hold it until the transaction of `connection` ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_lock_number(key))))


def lock_session(connection: Connection, key: str) -> None:
    """Wait for the lock `key` and hold it until `connection` is closed."""
    connection.execute(select(func.pg_advisory_lock(_lock_number(key))))


def try_lock_session(connection: Connection, key: str) -> bool:
    """Take the lock `key` until `connection` is closed; return False if another session holds it."""
    return bool(connection.scalar(select(func.pg_try_advisory_lock(_lock_number(key)))))


def _lock_number(key: str) -> Function[int]:
    return func.hashtextextended(key, 0)
