"""The programs of the embedded stack: how each is started, and how one sees that it works."""

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
    """One process that the supervisor keeps alive."""

    name: str
    kind: Kind
    command: Callable[[Settings], list[str]]
    stop_signal: Literal["TERM", "INT", "USR1"] = "TERM"
    stop_seconds: int = 10
    whole_group: bool = True  # the stop signal goes to all that it started, not to it alone


def postgres(settings: Settings) -> Postgres:
    """Return the stack's database server."""
    return Postgres(settings.root / "postgres", settings.postgres_port)


def haproxy_binary() -> str:
    """
    Return the path of HAProxy, which Debian keeps where only root looks.

    :raises SettingsError: with the command that installs it
    """
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise SettingsError("HAProxy is missing. Type: sudo apt-get install --yes haproxy")
    return found


def _python(*arguments: str) -> list[str]:
    return [sys.executable, "-m", *arguments]


def _mlflow(settings: Settings) -> list[str]:
    return _python(
        "mlflow", "server", "--host=127.0.0.1", f"--port={settings.mlflow_port}", "--workers=1",
        "--x-frame-options=DENY", f"--artifacts-destination={settings.artifacts_uri}",
    )  # fmt: skip


def _haproxy(_: Settings) -> list[str]:
    from include.serving.gateway.haproxy import command

    return [haproxy_binary(), *command()[1:]]


def _airflow(*arguments: str) -> Callable[[Settings], list[str]]:
    return lambda _: _python("airflow", *arguments)


# The log servers of Airflow listen on every address; here all read the same folder and need none.
PROGRAMS = (
    Program("postgres", "database", lambda s: postgres(s).command(), "INT", 30, whole_group=False),
    Program("mlflow", "mlflow", _mlflow),
    Program("features", "airworthy", lambda _: _python("include.data.feature_store.server")),
    Program("api-server", "airflow", _airflow("api-server")),
    Program("scheduler", "airflow", _airflow("scheduler", "--skip-serve-logs"), stop_seconds=15),
    Program("dag-processor", "airflow", _airflow("dag-processor")),
    Program("triggerer", "airflow", _airflow("triggerer", "--skip-serve-logs")),
    Program("haproxy", "airworthy", _haproxy, "USR1", 5, whole_group=False),
    Program("controller", "airworthy", lambda _: _python("include.serving.controller")),
)
BY_NAME = {program.name: program for program in PROGRAMS}


def program_log(settings: Settings, name: str) -> Path:
    """Return where the supervisor writes what a program prints."""
    return settings.root / "logs" / f"{name}.log"
