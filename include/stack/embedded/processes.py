"""The processes of a stack, whatever their parent is now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psutil

from include.stack.embedded.environment import PROGRAM_MARK, STACK_MARK

if TYPE_CHECKING:
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


def _is_marked(process: psutil.Process, home: str, program: str | None) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        # It has ended, is a zombie, or belongs to another user.
        return False
    return environment.get(STACK_MARK) == home and program in (None, environment.get(PROGRAM_MARK))
