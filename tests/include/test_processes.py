from __future__ import annotations

import signal
import subprocess
import sys

import psutil

from include.processes import end_processes, kill_processes

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)


def start(program: str) -> psutil.Popen:
    process = psutil.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with process.stdout as output:
        output.readline()
    return process


def test_a_process_ends_with_sigterm() -> None:
    process = start("import time; print(1, flush=True); time.sleep(60)")
    assert end_processes([process]) == []
    assert process.wait(60) == -signal.SIGTERM


def test_a_stopped_process_receives_sigterm() -> None:
    process = start("import time; print(1, flush=True); time.sleep(60)")
    process.suspend()
    assert end_processes([process]) == []
    assert process.wait(60) == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    process = start(STUBBORN)
    assert end_processes([process], timeout_s=0.1) == []
    assert process.wait(60) == -signal.SIGKILL


def test_killing_ignores_processes_that_ended() -> None:
    process = start("print(1, flush=True)")
    process.wait(60)
    assert kill_processes([process]) == []
    assert end_processes([process]) == []
