"""The supervisor (supervisord): its configuration, its start, and the state of each program."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
from configparser import RawConfigParser
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, cast
from xmlrpc.client import Fault, ServerProxy

from include.credentials import write_private
from include.errors import ServiceUnavailable
from include.stack.embedded import environment
from include.stack.embedded.programs import PROGRAMS, Program, program_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from include.settings import Settings


@dataclass(frozen=True, slots=True)
class ProgramState:
    """
    The state of a program, as the supervisor reports it.

    Attributes
    ----------
    state
        STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED or FATAL.
    pid
        The process, or 0 if there is none.
    started_at
        Seconds since the epoch.
    problem
        Why the program could not be started; an empty text otherwise.
    """

    name: str
    state: str
    pid: int
    started_at: float
    problem: str


def supervisor_socket(settings: Settings) -> Path:
    """Return the socket that the supervisor listens on."""
    return settings.root / "run" / "supervisor.sock"


def render(settings: Settings) -> str:
    """Return supervisord's configuration; it has no secrets, since each program reads its own."""
    run = settings.root / "run"
    socket = supervisor_socket(settings)
    sections: dict[str, dict[str, object]] = {
        "supervisord": {
            "identifier": "airworthy",
            "user": getpass.getuser(),
            "umask": "077",
            "pidfile": run / "supervisord.pid",
            "logfile": settings.root / "logs" / "supervisord.log",
            "logfile_maxbytes": "5MB",
            "logfile_backups": 1,
        },
        "unix_http_server": {"file": socket, "chmod": "0700"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisorctl": {"serverurl": f"unix://{socket}"},
    }
    for program in PROGRAMS:
        sections[f"program:{program.name}"] = _program_section(program, settings)
    return _render_ini(sections)


def start_supervisor(settings: Settings) -> None:
    """Start the supervisor in the background; it starts no program by itself."""
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
    """The supervisor of a stack, called over its socket."""

    def __init__(self, settings: Settings) -> None:
        self._socket = supervisor_socket(settings)

    @property
    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        # A transport cannot be used again after a failure, so each call has its own.
        transport = SupervisorTransport(None, None, serverurl=f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    @property
    def running(self) -> bool:
        """Whether it runs and answers."""
        try:
            return bool(self._rpc.getState()["statename"] == "RUNNING")
        except OSError:
            return False

    def states(self) -> dict[str, ProgramState]:
        """
        Return the state of each program, by name.

        Raises
        ------
        ServiceUnavailable
            If the supervisor does not answer.
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
        """Start a program unless it runs, without waiting for it."""
        # ALREADY_STARTED is no problem, and any other failure shows in the program's state.
        with suppress(Fault):
            self._rpc.startProcess(name, False)

    def stop(self, *names: str) -> None:
        """Ask programs to stop, without waiting for them."""
        for name in names:
            # NOT_RUNNING is no problem.
            with suppress(Fault):
                self._rpc.stopProcess(name, False)

    def shutdown(self) -> None:
        """Stop the programs that still run, then the supervisor itself."""
        self._rpc.shutdown()


def _program_section(program: Program, settings: Settings) -> dict[str, object]:
    return {
        "command": f"{shlex.quote(sys.executable)} -m include.stack {program.name}",
        "directory": environment.REPOSITORY,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 1,
        "startretries": 5,
        "stopsignal": program.stop_signal,
        "stopwaitsecs": program.stop_seconds,
        "stopasgroup": str(program.whole_group).lower(),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": program_log(settings, program.name),
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 1,
    }


def _render_ini(sections: Mapping[str, Mapping[str, object]]) -> str:
    parser = RawConfigParser()
    for name, options in sections.items():
        # supervisord expands what follows a `%`.
        parser[name] = {option: str(value).replace("%", "%%") for option, value in options.items()}
    text = StringIO()
    parser.write(text)
    return text.getvalue()
