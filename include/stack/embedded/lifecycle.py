"""Start the embedded stack, and stop it without leaving a process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import psutil
from sqlalchemy import create_engine, text

from include.credentials import admin_login, load_credentials, password_file
from include.database.migrate import upgrade_as_admin
from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.processes import end_processes
from include.stack.embedded import environment, health, preflight
from include.stack.embedded.airflow_settings import apply
from include.stack.embedded.postgres import SUPERUSER, ensure_databases
from include.stack.embedded.processes import find_processes
from include.stack.embedded.programs import PROGRAMS, postgres, program_log
from include.stack.embedded.supervision import Supervisor, start_supervisor
from include.stack.polling import wait_for_value

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.credentials import Credentials
    from include.settings import Settings
    from include.stack.embedded.supervision import ProgramState

# A program that is not healthy after this time is a failure.
START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 30.0
# The supervisor stops its programs itself, each within 10 to 30 s.
SUPERVISOR_STOP_TIMEOUT_S = 40.0
POLL_INTERVAL_S = 0.3
ROLES = ("airflow", "mlflow", "airworthy")
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


@dataclass(frozen=True, slots=True)
class Status:
    """
    The state of one program.

    Attributes
    ----------
    problem
        Why it is not healthy; an empty text if it is.
    memory
        Proportional set size of the program and of its children, in bytes.
    """

    state: ProgramState
    problem: str
    memory: int


def start_stack(settings: Settings, on_progress: Callable[[dict[str, str]], None] = lambda _: None) -> bool:
    """
    Start the programs that do not run, and wait until all of them are healthy.

    Parameters
    ----------
    settings
        The stack to start.
    on_progress
        Called with the problem of each program whenever they were checked; an empty text means healthy.

    Returns
    -------
    bool
        False if everything ran already and nothing was done.

    Raises
    ------
    SettingsError
        If this machine or the settings do not allow it.
    ServiceUnavailable
        If a program did not become healthy; the message has the end of its log.
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
        _start_programs(supervisor, settings, on_progress)
    except BaseException:
        stop_stack(settings)
        raise
    return True


def statuses(settings: Settings) -> list[Status]:
    """
    Return every program's state, health and memory.

    Raises
    ------
    ServiceUnavailable
        If the stack does not run.
    """
    credentials = load_credentials(settings.root)
    states = Supervisor(settings).states()
    in_order = [states[program.name] for program in PROGRAMS]
    problems = health.problems(in_order, settings, credentials)
    return [Status(state, problems[state.name], _memory_of(state)) for state in in_order]


def stop_stack(settings: Settings) -> list[psutil.Process]:
    """Stop the stack, by SIGKILL if need be; return the processes that still run."""
    supervisor = Supervisor(settings)
    if supervisor.running:
        # If the supervisor is killed while it stops them, `_clear` ends the programs.
        with suppress(OSError, ServiceUnavailable):
            supervisor.stop(*(program.name for program in PROGRAMS if program.name != "postgres"))
            _wait_for_stop(supervisor)
            supervisor.shutdown()
    return _clear(settings)


def _clear(settings: Settings) -> list[psutil.Process]:
    """End every process of the stack that runs, the database last; return those that still run."""
    server = postgres(settings)
    # The supervisor ends first: it would start the programs again.
    supervisors = [process for process in find_processes(settings.root) if not _program_of(process)]
    end_processes(supervisors, timeout_s=SUPERVISOR_STOP_TIMEOUT_S)
    remaining = end_processes(find_processes(settings.root))
    pid = server.pid
    if pid is not None:
        with suppress(psutil.NoSuchProcess):
            database = psutil.Process(pid)
            database.send_signal(signal.SIGINT)
            _, running = psutil.wait_procs([database], timeout=STOP_TIMEOUT_S)
            remaining += end_processes(running)
    return remaining


def _program_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(environment.PROGRAM_MARK)
    except (psutil.Error, OSError):
        return None


def _wait_for_stop(supervisor: Supervisor) -> None:
    def have_stopped() -> bool | None:
        states = supervisor.states()
        return all(state.pid == 0 for name, state in states.items() if name != "postgres") or None

    wait_for_value(have_stopped, timeout=STOP_TIMEOUT_S, interval=0.1)


def _prepare(settings: Settings) -> None:
    from include.certificates.certificate import generate_keys

    credentials = load_credentials(settings.root)
    admin_login(settings.root)
    if not settings.signing_key.exists():
        generate_keys(settings.signing_key.parent)
    for folder in ("lake", "landing", "logs", "mlflow/artifacts"):
        (settings.root / folder).mkdir(parents=True, exist_ok=True)
    # The former configuration may name other ports and servers that do not exist any more.
    (settings.root / "haproxy" / "haproxy.cfg").unlink(missing_ok=True)
    if not postgres(settings).initialised:
        postgres(settings).initialise(credentials.postgres_password)


def _start_programs(
    supervisor: Supervisor, settings: Settings, on_progress: Callable[[dict[str, str]], None]
) -> None:
    credentials = load_credentials(settings.root)
    supervisor.start("postgres")
    _wait_until_healthy(supervisor, settings, ("postgres",), on_progress)
    admin = postgres(settings).admin(credentials.postgres_password)
    ensure_databases(admin, {role: getattr(credentials, f"{role}_password") for role in ROLES})
    admin.dispose()
    # Airflow's migration runs beside our own and the start of MLflow.
    migration = _migrate_airflow(settings, credentials)
    supervisor.start("mlflow")
    engine = connect(postgres(settings).url("airworthy", SUPERUSER, credentials.postgres_password))
    upgrade_as_admin(engine, "airworthy")
    engine.dispose()
    for name in ("features", "access-log", "haproxy", "fallback", "controller"):
        supervisor.start(name)
    _finish_migration(migration, settings, credentials)
    for name in AIRFLOW:
        supervisor.start(name)
    _wait_until_healthy(supervisor, settings, tuple(program.name for program in PROGRAMS), on_progress)
    apply(settings)


def _migrate_airflow(settings: Settings, credentials: Credentials) -> subprocess.Popen[bytes] | None:
    if _airflow_stamp(settings, credentials) == _read_stamp(settings):
        return None
    variables = os.environ | environment.environment_of("airflow", settings, credentials)
    mark = {environment.STACK_MARK: str(settings.root)}
    with program_log(settings, "airflow-migration").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            stdout=output, stderr=output, env=variables | mark,
        )  # fmt: skip


def _finish_migration(
    migration: subprocess.Popen[bytes] | None, settings: Settings, credentials: Credentials
) -> None:
    if migration is None:
        return
    if migration.wait(START_TIMEOUT_S):
        log = program_log(settings, "airflow-migration")
        raise ServiceUnavailable(f"Airflow's database could not be migrated. See {log}:\n{tail(log)}")
    (settings.root / "airflow" / "migrated").write_text(_airflow_stamp(settings, credentials))


def _read_stamp(settings: Settings) -> str:
    try:
        return (settings.root / "airflow" / "migrated").read_text()
    except FileNotFoundError:
        return "never"


def _airflow_stamp(settings: Settings, credentials: Credentials) -> str:
    """Return Airflow's version and its database's revision: a start migrates if one of them changed."""
    engine = create_engine(environment.database_url("airflow", settings, credentials), hide_parameters=True)
    try:
        with engine.connect() as connection:
            revision = "empty"
            if connection.scalar(text("SELECT to_regclass('alembic_version') IS NOT NULL")):
                revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    finally:
        engine.dispose()
    return f"{version('apache-airflow')} {revision}"


def _wait_until_healthy(
    supervisor: Supervisor,
    settings: Settings,
    names: tuple[str, ...],
    on_progress: Callable[[dict[str, str]], None],
) -> None:
    credentials = load_credentials(settings.root)
    missing: dict[str, str] = {}

    def are_healthy() -> bool | None:
        states = supervisor.states()
        problems = health.problems([states[name] for name in names], settings, credentials)
        on_progress(problems)
        missing.clear()
        missing.update({name: problem for name, problem in problems.items() if problem})
        fatal = [name for name in missing if states[name].state == "FATAL"]
        if fatal:
            raise ServiceUnavailable(_describe_failures(settings, fatal, missing))
        return not missing or None

    if wait_for_value(are_healthy, timeout=START_TIMEOUT_S, interval=POLL_INTERVAL_S) is None:
        raise ServiceUnavailable(_describe_failures(settings, list(missing), missing))


def _describe_failures(settings: Settings, names: list[str], problems: dict[str, str]) -> str:
    parts = []
    for name in names:
        log = program_log(settings, name)
        parts.append(f"{name} did not start ({problems[name]}). The end of {log}:\n{tail(log)}")
    return "\n".join(parts)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log; an empty text if there is no log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _memory_of(state: ProgramState) -> int:
    """Return the memory of a program and of the processes that it started, in bytes."""
    if not state.pid:
        return 0
    try:
        program = psutil.Process(state.pid)
        tree = [program, *program.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_proportional_set_size(process) for process in tree)


def _proportional_set_size(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


def addresses(settings: Settings) -> dict[str, str]:
    """Return where the services answer, where their logs are, and the file of Airflow's password."""
    return {
        "airflow": settings.airflow_public_uri,
        "models_page": f"{settings.airflow_public_uri}/airworthy/",
        "mlflow": settings.mlflow_public_uri,
        "models": f"{settings.gateway_public_uri}/models",
        "logs": str(settings.root / "logs"),
        "password_file": str(password_file(settings.root)),
    }


def describe_addresses(settings: Settings) -> str:
    """Return the addresses as text, with the login of Airflow."""
    places = addresses(settings)
    return (
        f"Airflow  {places['airflow']}  user admin, password in {places['password_file']}\n"
        f"Models   {places['models_page']}  also in Airflow under Browse\n"
        f"Gateway  {places['models']}\n"
        f"MLflow   {places['mlflow']}\n"
        f"Logs     {places['logs']}"
    )
