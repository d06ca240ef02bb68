"""`python -m include.stack PROGRAM`: replace this process by a program of the embedded stack."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import TYPE_CHECKING

from include.credentials import load_credentials
from include.processes import kill_processes
from include.stack.embedded import environment
from include.stack.embedded.processes import find_processes
from include.stack.embedded.programs import BY_NAME

if TYPE_CHECKING:
    from include.settings import Settings

PR_SET_PDEATHSIG = 1
# Programs whose former children may live on: they decide themselves which of them end.
UNMANAGED = {"postgres", "controller"}


def exec_program(name: str, settings: Settings) -> None:
    """
    Replace this process by the program `name`, which ends when the supervisor does.

    Its secrets are in its environment, never on its command line. Processes that a killed predecessor left,
    such as executor workers, are killed first, so that no two of them work at once.
    """
    program = BY_NAME[name]
    own = environment.environment_of(program.kind, settings, load_credentials(settings.root))
    marks = {environment.STACK_MARK: str(settings.root), environment.PROGRAM_MARK: name}
    variables = os.environ | own | marks
    if name not in UNMANAGED:
        kill_processes(find_processes(settings.root, name))
    if name == "haproxy":
        from include.serving.gateway.haproxy import Gateway

        Gateway().prepare()
    os.chdir(environment.REPOSITORY)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    command = program.command(settings)
    os.execvpe(command[0], command, variables)  # noqa: S606


if __name__ == "__main__":
    from include.settings import settings

    exec_program(sys.argv[1], settings())
