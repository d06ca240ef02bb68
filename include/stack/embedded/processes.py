"""Find every process of a stack, whatever its parent is now, and end it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

from include.stack.embedded.environment import PROGRAM_MARK, STACK_MARK

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def find_processes(home: Path, program: str | None = None) -> list[psutil.Process]:
    """
    Return the processes that carry the mark of the stack in `home`, of one program or of all.

    PostgreSQL overwrites its environment and so is not among them: `postmaster.pid` names it. The caller and
    its parents are left out.
    """
    own_pids = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [
        process
        for process in psutil.process_iter()
        if process.pid not in own_pids and _is_marked(process, str(home), program)
    ]


def end_processes(processes: Iterable[psutil.Process], timeout: float = 10) -> list[psutil.Process]:
    """
    Send SIGTERM to processes, then SIGKILL to those that remain.

    Parameters
    ----------
    processes
        Processes of any parent; some may have ended already.
    timeout
        Seconds to wait after each of the two signals.

    Returns
    -------
    list
        The processes that still run.
    """
    remaining = list(processes)
    for send_signal in (psutil.Process.terminate, psutil.Process.kill):
        for process in remaining:
            with suppress(psutil.NoSuchProcess):
                send_signal(process)
        _, remaining = psutil.wait_procs(remaining, timeout=timeout)
    return remaining


def kill_processes(processes: Iterable[psutil.Process]) -> None:
    """Send SIGKILL to processes that a dead parent left behind, and wait up to 5 s for their end."""
    orphans = list(processes)
    for process in orphans:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(orphans, timeout=5)


def _is_marked(process: psutil.Process, home: str, program: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        # It has ended, is a zombie, or belongs to another user.
        return False
    return environment.get(STACK_MARK) == home and program in (None, environment.get(PROGRAM_MARK))
