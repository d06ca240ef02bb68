"""Bring the embedded stack up, and take it down without leaving anything behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import create_engine, text

from include.credentials import admin_login, load_credentials, password_file
from include.database.migrate import upgrade
from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.settings import Settings
from include.stack.embedded import environment, health, preflight, processes
from include.stack.embedded.airflow_settings import apply
from include.stack.embedded.postgres import ensure_databases
from include.stack.embedded.programs import PROGRAMS, postgres, program_log
from include.stack.embedded.supervision import Supervisor, start_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.credentials import Credentials
    from include.settings import Settings
    from include.stack.embedded.supervision import ProgramState

START_TIMEOUT_S = 300.0  # seconds until a program that is still not healthy is a failure
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


@dataclass(frozen=True, slots=True)
class Status:
    """One program as a person wants to see it."""

    state: ProgramState
    problem: str
    memory: int  # bytes, with all that it started


def start_stack(settings: Settings, tell: Callable[[dict[str, str]], None] = lambda _: None) -> bool:
    """
    Start what does not run yet and return when everything works; False when everything already did.

    `tell` hears, again and again, what each program is still missing.

    :raises SettingsError: when this machine or the settings do not allow it
    :raises ServiceUnavailable: naming the program that did not come up, and its log
    """
    supervisor = Supervisor(settings)
    if supervisor.running and not any(status.problem for status in statuses(settings)):
        return False
    if not supervisor.running:
        _clear(settings)
        preflight.check_machine(settings)
        _prepare(settings)
        start_supervisor(settings)
    try:
        _start_all(supervisor, settings, tell)
    except BaseException:
        stop_stack(settings)
        raise
    return True


def statuses(settings: Settings) -> list[Status]:
    """
    Return every program's state, health and memory.

    :raises ServiceUnavailable: when the stack does not run
    """
    credentials = load_credentials(settings.root)
    states = Supervisor(settings).states()
    return [
        Status(states[p.name], health.problem(states[p.name], settings, credentials), _memory(states[p.name]))
        for p in PROGRAMS
    ]


def stop_stack(settings: Settings) -> list[psutil.Process]:
    """Stop the stack, politely first; return the processes that would not end."""
    supervisor = Supervisor(settings)
    if supervisor.running:
        with suppress(OSError, ServiceUnavailable):  # it was just killed: what follows finds the rest
            supervisor.stop(*(program.name for program in PROGRAMS if program.name != "postgres"))
            _wait_for_stop(supervisor)
            supervisor.shutdown()
    return _clear(settings)


def _clear(settings: Settings) -> list[psutil.Process]:
    """End every process of the stack that is left, the database last."""
    server = postgres(settings)
    keepers = [process for process in processes.find_processes(settings.root) if not _program_of(process)]
    processes.end_processes(keepers, 40)  # the supervisor first, or it would start the others again
    left = processes.end_processes(processes.find_processes(settings.root))
    if pid := server.pid:
        with suppress(psutil.NoSuchProcess):
            database = psutil.Process(pid)
            database.send_signal(signal.SIGINT)
            _, still = psutil.wait_procs([database], timeout=30)
            left += processes.end_processes(still)
    return left


def _program_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(environment.PROGRAM_MARK)
    except (psutil.Error, OSError):
        return None


def _wait_for_stop(supervisor: Supervisor) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        states = supervisor.states()
        if all(state.pid == 0 for name, state in states.items() if name != "postgres"):
            return
        time.sleep(0.1)


def _prepare(settings: Settings) -> None:
    from include.certificates.certificate import generate_keys

    credentials = load_credentials(settings.root)
    admin_login(settings.root)
    if not settings.signing_key.exists():
        generate_keys(settings.signing_key.parent)
    for folder in ("lake", "landing", "logs", "mlflow/artifacts"):
        (settings.root / folder).mkdir(parents=True, exist_ok=True)
    (settings.root / "haproxy" / "haproxy.cfg").unlink(
        missing_ok=True
    )  # of other ports, and servers long gone
    if not postgres(settings).initialised:
        postgres(settings).initialise(credentials.postgres_password)


def _start_all(supervisor: Supervisor, settings: Settings, tell: Callable[[dict[str, str]], None]) -> None:
    credentials = load_credentials(settings.root)
    supervisor.start("postgres")
    _wait(supervisor, settings, ("postgres",), tell)
    admin = postgres(settings).admin(credentials.postgres_password)
    ensure_databases(
        admin, {role: getattr(credentials, f"{role}_password") for role in ("airflow", "mlflow", "airworthy")}
    )
    admin.dispose()
    migration = _migrate_airflow(settings, credentials)
    supervisor.start("mlflow")
    ours = connect(environment.database_url("airworthy", settings, credentials))
    upgrade(ours)
    ours.dispose()
    for name in ("features", "haproxy", "controller"):
        supervisor.start(name)
    _finish(migration, settings, credentials)
    for name in AIRFLOW:
        supervisor.start(name)
    _wait(supervisor, settings, tuple(program.name for program in PROGRAMS), tell)
    apply(settings)


def _migrate_airflow(settings: Settings, credentials: Credentials) -> subprocess.Popen[bytes] | None:
    if _airflow_stamp(settings, credentials) == _stamp_file(settings):
        return None
    variables = os.environ | environment.environment_of("airflow", settings, credentials)
    with program_log(settings, "airflow-migration").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            stdout=output, stderr=output, env=variables | {environment.STACK_MARK: str(settings.root)},
        )  # fmt: skip


def _finish(migration: subprocess.Popen[bytes] | None, settings: Settings, credentials: Credentials) -> None:
    if migration is None:
        return
    if migration.wait(START_TIMEOUT_S):
        log = program_log(settings, "airflow-migration")
        raise ServiceUnavailable(f"Airflow's database could not be migrated. See {log}:\n{tail(log)}")
    (settings.root / "airflow" / "migrated").write_text(_airflow_stamp(settings, credentials))


def _stamp_file(settings: Settings) -> str:
    try:
        return (settings.root / "airflow" / "migrated").read_text()
    except FileNotFoundError:
        return "never"


def _airflow_stamp(settings: Settings, credentials: Credentials) -> str:
    """Return Airflow's version and its database's revision; while both stay, a start need not migrate."""
    engine = create_engine(environment.database_url("airflow", settings, credentials), hide_parameters=True)
    try:
        with engine.connect() as connection:
            known = connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL"))
            revision = (
                connection.scalar(text("SELECT version_num FROM alembic_version")) if known else "empty"
            )
    finally:
        engine.dispose()
    return f"{version('apache-airflow')} {revision}"


def _wait(
    supervisor: Supervisor, settings: Settings, names: tuple[str, ...], tell: Callable[[dict[str, str]], None]
) -> None:
    credentials, end = load_credentials(settings.root), time.monotonic() + START_TIMEOUT_S
    while True:
        states = supervisor.states()
        problems = {name: health.problem(states[name], settings, credentials) for name in names}
        tell(problems)
        missing = {name: problem for name, problem in problems.items() if problem}
        if not missing:
            return
        fatal = [name for name in missing if states[name].state == "FATAL"]
        if fatal or time.monotonic() > end:
            raise ServiceUnavailable(_explain(settings, fatal or list(missing), missing))
        time.sleep(0.3)


def _explain(settings: Settings, names: list[str], problems: dict[str, str]) -> str:
    parts = []
    for name in names:
        log = program_log(settings, name)
        parts.append(f"{name} did not come up ({problems[name]}). The end of {log}:\n{tail(log)}")
    return "\n".join(parts)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; empty when nothing was written."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _memory(state: ProgramState) -> int:
    try:
        process = psutil.Process(state.pid)
        return sum(_unique(p) for p in (process, *process.children(recursive=True))) if state.pid else 0
    except psutil.NoSuchProcess:
        return 0


def _unique(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def addresses(settings: Settings) -> dict[str, str]:
    """Return where the services answer, where their logs are, and the file of Airflow's password."""
    return {
        "airflow": settings.airflow_uri,
        "mlflow": settings.mlflow_uri,
        "models": f"{settings.gateway_uri}/models",
        "logs": str(settings.root / "logs"),
        "password_file": str(password_file(settings.root)),
    }


def describe_addresses(settings: Settings) -> str:
    """Return the addresses as text, with the login of Airflow."""
    places = addresses(settings)
    return (
        f"Airflow  {places['airflow']}  user admin, password in {places['password_file']}\n"
        f"MLflow   {places['mlflow']}\n"
        f"Models   {places['models']}\n"
        f"Logs     {places['logs']}"
    )
