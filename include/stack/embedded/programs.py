"""The programs of the embedded stack, and the command that starts each."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from include.errors import SettingsError
from include.stack.embedded.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.settings import Settings
    from include.stack.embedded.environment import Kind


@dataclass(frozen=True, slots=True)
class Program:
    """
    A process that the supervisor keeps alive.

    Attributes
    ----------
    name
        As the supervisor, the logs and `make status` name it.
    kind
        Which variables it sees; see `environment.environment_of`.
    command
        Returns the words of its command line.
    stop_signal
        The signal that asks it to end.
    stop_seconds
        Seconds after which it is killed.
    whole_group
        Whether the stop signal goes to the processes that it started as well.
    """

    name: str
    kind: Kind
    command: Callable[[Settings], list[str]]
    stop_signal: Literal["TERM", "INT", "USR1"] = "TERM"
    stop_seconds: int = 10
    whole_group: bool = True


def postgres(settings: Settings) -> Postgres:
    """Return the stack's database server."""
    return Postgres(settings.root / "postgres", settings.postgres_port)


def haproxy_binary() -> str:
    """
    Return the path of HAProxy, which Debian installs outside the PATH of ordinary users.

    Raises
    ------
    SettingsError
        If it is missing; the message has the command that installs it.
    """
    path = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise SettingsError("HAProxy is missing. Type: sudo apt-get install --yes haproxy")
    return path


def _python_module(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _postgres_command(settings: Settings) -> list[str]:
    return postgres(settings).command()


def _mlflow_command(settings: Settings) -> list[str]:
    return _python_module(
        "mlflow", "server", "--host=127.0.0.1", f"--port={settings.mlflow_port}", "--workers=1",
        "--x-frame-options=DENY", f"--artifacts-destination={settings.artifacts_uri}",
    )  # fmt: skip


def _haproxy_command(_: Settings) -> list[str]:
    from include.serving.gateway.haproxy import command

    return command(haproxy_binary())


def _airflow_command(*arguments: str) -> Callable[[Settings], list[str]]:
    return lambda _: _python_module("airflow", *arguments)


# Airflow's log servers would listen on every address. Here all components read the same folder.
PROGRAMS = (
    Program("postgres", "database", _postgres_command, "INT", 30, whole_group=False),
    Program("mlflow", "mlflow", _mlflow_command),
    Program("features", "airworthy", lambda _: _python_module("include.data.feature_store.server")),
    Program("api-server", "airflow", _airflow_command("api-server")),
    Program("scheduler", "airflow", _airflow_command("scheduler", "--skip-serve-logs"), stop_seconds=15),
    Program("dag-processor", "airflow", _airflow_command("dag-processor")),
    Program("triggerer", "airflow", _airflow_command("triggerer", "--skip-serve-logs")),
    Program("access-log", "airworthy", lambda _: _python_module("include.serving.access_log")),
    Program("haproxy", "airworthy", _haproxy_command, "USR1", 5, whole_group=False),
    Program("fallback", "airworthy", lambda _: _python_module("include.serving.fallback")),
    Program("controller", "airworthy", lambda _: _python_module("include.serving.controller")),
)
BY_NAME = {program.name: program for program in PROGRAMS}


def program_log(settings: Settings, name: str) -> Path:
    """Return the file into which the supervisor writes the output of a program."""
    return settings.root / "logs" / f"{name}.log"
