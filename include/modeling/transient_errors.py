"""Tell an accident from a fault of the model: what ran out or went away says nothing of an estimator."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

# Memory, a worker that was killed, a full disk, a connection.
ACCIDENTS = (MemoryError, BrokenExecutor, OSError)
# These are OSErrors too, but the next try would meet the same path.
FAULTS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError)


@contextmanager
def translate_transient(what: str) -> Iterator[None]:
    """
    Let everything through as it is, but for accidents.

    :raises ServiceUnavailable: in place of one: it is tried again, and decides nothing about a model
    """
    try:
        yield
    except FAULTS:
        raise
    except ACCIDENTS as error:
        raise ServiceUnavailable(
            f"{what} was cut short: {type(error).__name__}: {error}. That says nothing of the model, and is "
            "tried again. Give it more memory or disk, or see what it could not reach."
        ) from error
