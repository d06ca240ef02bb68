"""The supervisor (supervisord): its configuration, its start, and what it knows of each program."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from xmlrpc.client import Fault, ServerProxy

from include.credentials import write_private
from include.errors import ServiceUnavailable
from include.stack.embedded import environment
from include.stack.embedded.programs import PROGRAMS, Program, program_log

if TYPE_CHECKING:
    from pathlib import Path

    from include.settings import Settings


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What the supervisor says of one program."""

    name: str
    state: str  # supervisord's names: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL
    pid: int
    started_at: float  # seconds since the epoch
    problem: str


def supervisor_socket(settings: Settings) -> Path:
    """Return the socket the supervisor answers on."""
    return settings.root / "run" / "supervisor.sock"


def render(settings: Settings) -> str:
    """Return supervisord's configuration; secrets are not in it, each program's wrapper reads its own."""
    run, logs = settings.root / "run", settings.root / "logs"
    head = f"""\
[supervisord]
identifier = airworthy
user = {getpass.getuser()}
umask = 077
pidfile = {_literal(run / "supervisord.pid")}
logfile = {_literal(logs / "supervisord.log")}
logfile_maxbytes = 5MB
logfile_backups = 1

[unix_http_server]
file = {_literal(supervisor_socket(settings))}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{_literal(supervisor_socket(settings))}
"""
    return "\n".join([head, *(_section(program, settings) for program in PROGRAMS)])


def start_supervisor(settings: Settings) -> None:
    """Start the supervisor in the background; it starts nothing by itself."""
    for folder in ("run", "logs"):
        (settings.root / folder).mkdir(parents=True, exist_ok=True)
    configuration = settings.root / "run" / "supervisord.conf"
    write_private(configuration, render(settings))
    subprocess.run(  # noqa: S603
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
        check=True,
        cwd=environment.REPOSITORY,
        env=os.environ | environment.shared(settings) | {environment.STACK_MARK: str(settings.root)},
    )


class Supervisor:
    """A running supervisor, over its socket."""

    def __init__(self, settings: Settings) -> None:
        self._socket = supervisor_socket(settings)

    @property
    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(
            None, None, serverurl=f"unix://{self._socket}"
        )  # useless after one failure
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    @property
    def running(self) -> bool:
        """Whether it answers."""
        try:
            return bool(self._rpc.getState()["statename"] == "RUNNING")
        except OSError:
            return False

    def states(self) -> dict[str, ProgramState]:
        """
        Return what it knows of each program.

        :raises ServiceUnavailable: when it does not answer
        """
        try:
            entries = cast("list[dict[str, Any]]", self._rpc.getAllProcessInfo())
        except OSError as error:
            raise ServiceUnavailable("The supervisor does not answer. Run `make up`.") from error
        return {
            entry["name"]: ProgramState(
                entry["name"], entry["statename"], entry["pid"], entry["start"], entry["spawnerr"]
            )
            for entry in entries
        }

    def start(self, name: str) -> None:
        """Start a program unless it runs; does not wait for it."""
        with suppress(Fault):  # ALREADY_STARTED; any other failure shows in its state
            self._rpc.startProcess(name, False)

    def stop(self, *names: str) -> None:
        """Stop programs side by side, and wait for each."""
        for name in names:
            with suppress(Fault):  # NOT_RUNNING
                self._rpc.stopProcess(name, False)

    def shutdown(self) -> None:
        """Stop what still runs, and then the supervisor itself."""
        self._rpc.shutdown()


def _section(program: Program, settings: Settings) -> str:
    command = f"{shlex.quote(sys.executable)} -m include.stack {program.name}"
    group = str(program.whole_group).lower()
    return f"""\
[program:{program.name}]
command = {_literal(command)}
directory = {_literal(environment.REPOSITORY)}
autostart = false
autorestart = true
startsecs = 1
startretries = 5
stopsignal = {program.stop_signal}
stopwaitsecs = {program.stop_seconds}
stopasgroup = {group}
killasgroup = true
redirect_stderr = true
stdout_logfile = {_literal(program_log(settings, program.name))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


def _literal(value: object) -> str:
    return str(value).replace("%", "%%")
