from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from include.processes import end_processes
from include.stack.embedded.environment import PROGRAM_MARK, STACK_MARK
from include.stack.embedded.processes import find_processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
ORPHAN = f"import subprocess; print(subprocess.Popen({SLEEP!r}, start_new_session=True).pid, flush=True)"


@pytest.fixture
def start(tmp_path):
    started: list[subprocess.Popen[bytes]] = []

    def _start(command=SLEEP, *, home=tmp_path, program="scheduler"):
        marks = {STACK_MARK: str(home), PROGRAM_MARK: program}
        process = subprocess.Popen(command, env=os.environ | marks, stdout=subprocess.PIPE)
        started.append(process)
        return process

    yield _start
    for process in started:
        process.kill()
        process.wait()


def pids(listed) -> set[int]:
    return {process.pid for process in listed}


def test_processes_of_one_stack_are_found(tmp_path, start):
    own = start()
    other = start(home=tmp_path / "another")
    assert pids(find_processes(tmp_path)) == {own.pid}
    assert other.poll() is None


def test_processes_of_one_program_are_found(tmp_path, start):
    scheduler = start()
    start(program="triggerer")
    assert pids(find_processes(tmp_path, "scheduler")) == {scheduler.pid}


def test_orphan_in_another_session_is_found_and_ended(tmp_path, start):
    parent = start([sys.executable, "-c", ORPHAN])
    orphan = int(parent.stdout.readline())
    parent.wait()
    assert pids(find_processes(tmp_path)) == {orphan}
    assert end_processes(find_processes(tmp_path)) == []
    assert not psutil.pid_exists(orphan)


def test_caller_and_its_parents_are_left_alone(tmp_path, start):
    code = "from include.stack.embedded.processes import find_processes\n"
    code += f"print(len(find_processes({str(tmp_path)!r})))"
    caller = start([sys.executable, "-c", code])
    assert caller.communicate()[0].strip() == b"0"
