"""Ending of operating-system processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

TERMINATE_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 10.0


def end_processes(
    processes: Iterable[psutil.Process], *, timeout_s: float = TERMINATE_TIMEOUT_S
) -> list[psutil.Process]:
    """
    End processes with SIGTERM and, after `timeout_s`, with SIGKILL; return those that still run.

    Processes that are stopped (SIGSTOP) are continued, so that they receive SIGTERM.
    """
    remaining = list(processes)
    for process in remaining:
        _terminate(process)
    _, remaining = psutil.wait_procs(remaining, timeout=timeout_s)
    return kill_processes(remaining)


def kill_processes(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """End processes with SIGKILL; return those that still run."""
    remaining = list(processes)
    for process in remaining:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(remaining, timeout=KILL_TIMEOUT_S)
    return alive


def _terminate(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.resume()
    except psutil.NoSuchProcess:
        pass
