"""`python -m include.stack PROGRAM`: become a program of the stack, which ends when the supervisor does."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from include.credentials import load_credentials
from include.settings import Settings, settings
from include.stack.embedded import environment
from include.stack.embedded.processes import find_processes, kill
from include.stack.embedded.programs import BY_NAME

PR_SET_PDEATHSIG = 1
UNMANAGED = {"postgres", "controller"}  # a new one knows best what of the old one's children may live


def exec_program(name: str, chosen: Settings) -> None:
    """
    Replace this process by the program, with its secrets in its environment and none on its command line.

    What a killed predecessor left (executor workers amid a task) is ended first, so that no two run at once.
    """
    program = BY_NAME[name]
    marks = {environment.STACK_MARK: str(chosen.root), environment.PROGRAM_MARK: name}
    variables = (
        os.environ | environment.environment_of(program.kind, chosen, load_credentials(chosen.root)) | marks
    )
    if name not in UNMANAGED:
        kill(find_processes(chosen.root, name))
    if name == "haproxy":
        from include.serving.gateway.haproxy import Gateway

        Gateway().prepare()
    os.chdir(environment.REPOSITORY)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    command = program.command(chosen)
    os.execvpe(command[0], command, variables)  # noqa: S606


if __name__ == "__main__":
    exec_program(sys.argv[1], settings())
