"""Advisory locks of PostgreSQL."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine


@contextmanager
def advisory_lock(engine: Engine | None, key: str, *, patience: str = "120s") -> Iterator[None]:
    """
    Let one process at a time through per `key`; PostgreSQL frees the lock of a process that dies.

    Without an engine everybody passes.

    :raises ServiceUnavailable: if the other does not finish within `patience`
    """
    if engine is None:
        yield
        return
    with engine.connect() as connection:
        try:
            connection.execute(
                text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": patience}
            )
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})
        except OperationalError as error:
            raise ServiceUnavailable(
                f"{key}: another attempt has been at work for {patience}, or the database is away. Try again."
            ) from error
        yield
