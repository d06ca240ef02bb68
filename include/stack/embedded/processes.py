"""Find every process of a stack, whoever its parent is now, and end it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil

from include.stack.embedded.environment import PROGRAM_MARK, STACK_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def find_processes(home: Path, program: str | None = None) -> list[psutil.Process]:
    """
    Return the processes that carry the mark of the stack in `home`, of one program or of all.

    PostgreSQL writes over its environment; its own file names it. The caller and its parents are left out.
    """
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in mine and _carries(process, str(home), program)
    ]


def end_processes(processes: Iterable[psutil.Process], patience: float = 10) -> list[psutil.Process]:
    """Ask the processes to end, then make them; return those that are still there."""
    remaining = list(processes)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in remaining:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        _, remaining = psutil.wait_procs(remaining, timeout=patience)
    return remaining


def kill(processes: Iterable[psutil.Process]) -> None:
    """End what a dead parent left behind, at once: nobody waits for its result any more."""
    remaining = list(processes)
    for process in remaining:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(remaining, timeout=5)


def _carries(process: psutil.Process, home: str, program: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return False  # gone meanwhile, a zombie, or somebody else's
    return environment.get(STACK_MARK) == home and program in (None, environment.get(PROGRAM_MARK))
