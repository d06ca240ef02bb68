"""Distinction between transient errors, which are retried, and errors of an estimator."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Too little memory, a worker process that was killed, a full disk, a lost connection.
TRANSIENT_ERRORS = (MemoryError, BrokenExecutor, OSError)
# Subclasses of OSError that a retry would meet again, since the path is the same.
PERMANENT_OS_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)


@contextmanager
def translate_transient(subject: str) -> Iterator[None]:
    """
    Translate transient errors of the block to `ServiceUnavailable`; other errors pass unchanged.

    Parameters
    ----------
    subject
        What the block does, for the message.

    Raises
    ------
    ServiceUnavailable
        If memory, disk, a worker process or a connection failed. It is retried, and says nothing about a
        model.
    """
    try:
        yield
    except PERMANENT_OS_ERRORS:
        raise
    except TRANSIENT_ERRORS as error:
        raise ServiceUnavailable(
            f"{subject} was cut short: {type(error).__name__}: {error}. This says nothing about the model, "
            "and is retried. Provide more memory or disk space, or check the connection."
        ) from error
