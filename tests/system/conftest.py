"""The embedded stack on ports of its own, once for the session, with the project's DAGs and `probe_dag`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from include.modeling.registry import provenance
from include.settings import Settings
from include.stack.airflow_api import AirflowApi
from include.stack.embedded import environment, processes
from tests.conftest import free_ports

NAMES = ("airflow_port", "mlflow_port", "gateway_port", "postgres_port", "controller_port", "features_port")
COMMAND_TIMEOUT_S = 420
API_TIMEOUT_S = 180

# A test creates the connection.
CHANNELS = '[{"kind": "webhook", "connection": "pager", "endpoint": "enqueue"}]'

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def stack_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    return Settings(home=tmp_path_factory.mktemp("stack"), **ports)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the code that the stack runs, in which a test may declare something."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("include", "plugins", "dags"):
        shutil.copytree(
            environment.REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("airflow_settings.yaml", "requirements.txt"):
        shutil.copy2(environment.REPOSITORY / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def command(stack_settings: Settings, project: Path) -> Command:
    """Return a function that runs `airworthy …` with the settings of this stack."""
    variables_of_stack = environment.shared(stack_settings)
    path = variables_of_stack["PYTHONPATH"].replace(str(environment.REPOSITORY), str(project))
    # The copy is no repository.
    copied = {"PYTHONPATH": path, provenance.CODE_VERSION_VARIABLE: provenance.code_version()}

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "include.cli", *arguments],
            env=os.environ | variables_of_stack | copied | variables,
            cwd=project,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def stack_command(command: Command) -> Command:
    """Return a function that runs `airworthy stack …` with the settings of this stack."""
    return partial(command, "stack")


@pytest.fixture(scope="session")
def stack(stack_settings: Settings, stack_command: Command, project: Path) -> Iterator[Settings]:
    """Start the stack and return its settings."""
    dags = stack_settings.root / "dags"
    dags.mkdir(parents=True)
    (dags / "probe.py").write_text((Path(__file__).parent / "probe_dag.py").read_text())
    for path in (project / "dags").glob("*.py"):
        (dags / path.name).symlink_to(path)
    try:
        started = stack_command("up", AIRFLOW__CORE__DAGS_FOLDER=str(dags), AIRWORTHY_ALERT_CHANNELS=CHANNELS)
        assert started.returncode == 0, started.stdout + started.stderr
        yield stack_settings
    finally:
        ended = stack_command("down")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert processes.find_processes(stack_settings.root) == []


@pytest.fixture(scope="session")
def airflow(stack: Settings) -> AirflowApi:
    api = AirflowApi(stack)
    # A busy machine may need more than the 30 s that a person would wait for.
    api._http.timeout = API_TIMEOUT_S
    return api
