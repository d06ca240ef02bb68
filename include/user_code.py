"""Errors in the code of a team: `build_model()`, `build()`, sources, gates; and where they were raised."""

from __future__ import annotations

import sysconfig
import traceback
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import AirworthyError

if TYPE_CHECKING:
    from collections.abc import Iterator

INCLUDE = Path(__file__).parent
# Rooms of `include` in which teams write.
TEAM_ROOMS = frozenset({"use_cases", "features", "datasets"})
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
# A retry may cure them: memory, disk, a worker process, a connection.
ACCIDENTS = (MemoryError, OSError, BrokenExecutor)


def describe_location(error: BaseException) -> str:
    """Return the innermost line of a team's code that an error came from; empty if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if not _is_team_code(path):
            continue
        root = INCLUDE.parent
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        return f"{shown}, line {frame.lineno}, in {frame.name}"
    return ""


def describe_error(error: BaseException) -> str:
    """Return class, text and location of an error that a team's code raised."""
    location = describe_location(error)
    text = f"{type(error).__name__}: {error}"
    return f"{text} ({location})" if location else text


@contextmanager
def team_errors(action: str, *, remedy: str, error: type[AirworthyError]) -> Iterator[None]:
    """
    Translate what a team's code raises in the block; it would be raised again at the next try.

    Parameters
    ----------
    action
        What the code does, with the declaration and the day.
    remedy
        Last sentence of the message.
    error
        Class of the error in place of the code's own.

    Raises
    ------
    AirworthyError
        Of the class `error`; the message names file and line. The project's own errors, and those of memory,
        disk or connection, pass unchanged.
    """
    try:
        yield
    except (AirworthyError, *ACCIDENTS):
        raise
    except (Exception, SystemExit) as cause:
        raise error(f"{action} failed: {describe_error(cause)}. {remedy}") from cause


def _is_team_code(path: Path) -> bool:
    if not path.is_absolute() or str(path).startswith(LIBRARIES):
        return False
    if path.is_relative_to(INCLUDE):
        return path.relative_to(INCLUDE).parts[0] in TEAM_ROOMS
    return not path.is_relative_to(INCLUDE.parent / "plugins")
