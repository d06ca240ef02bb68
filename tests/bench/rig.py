"""Resources of the measurements: a clone of the project, a stack in a temporary home, flights in its lake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from include.catalog import catalog
from include.credentials import load_credentials
from include.data.lake.delta_tables import Lake
from include.errors import ServiceUnavailable
from include.settings import Settings
from include.stack.airflow_api import AirflowApi
from include.stack.embedded import environment
from tests.bench.declared import declare
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTS = ("airflow_port", "mlflow_port", "gateway_port", "postgres_port", "controller_port", "features_port")
CLONED = ("dags", "plugins", "include", "tests/bench", "requirements.txt", "airflow_settings.yaml")
# No nightly training runs beside the measured one.
PAUSED = {"AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "true"}
# Airflow starts the last scheduled run of a DAG within this time after the DAG is unpaused.
NIGHTLY_SECONDS = 8.0
POLL_INTERVAL_S = 0.5
DAG_CASE = "bench_dag"
BARE_CASE = "bench_bare"
# Of its own, since a champion of another measurement may have learnt from its test rows.
BARE_LIFE_CASE = "bench_bare_life"
AIRFLOW_TIMEOUT_S = 120.0
FIRST = date(2013, 1, 1)
LAST = date(2013, 2, 28)


class Rig:
    """Resources that several measurements share; each is created at its first use."""

    def __init__(self, home: Path, *, keep: bool = False) -> None:
        # The results are written here.
        self.home = home
        self.folder = Path(mkdtemp(prefix="airworthy-bench-"))
        self._keep = keep
        self._exit = ExitStack()
        self._exit.callback(self._clear)

    def close(self) -> None:
        """Stop what was started."""
        self._exit.close()

    def _clear(self) -> None:
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    @cached_property
    def clone(self) -> Path:
        """A copy of the project, committed, with the use cases of the benchmark declared in it."""
        return clone(self.folder / "clone", (DAG_CASE, BARE_CASE, BARE_LIFE_CASE))

    @cached_property
    def settings(self) -> Settings:
        """Settings with free ports and a home below the temporary folder."""
        ports: dict[str, Any] = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        return Settings(home=self.folder / "home", **ports)

    @cached_property
    def stack(self) -> Settings:
        """The settings of a running stack; its lake holds two months of flights and their features."""
        self._run("include.cli", "stack", "up", variables=self.shared | PAUSED)
        self._exit.callback(self._run, "include.cli", "stack", "down", variables=self.shared)
        self._unpause()
        self._run("tests.bench.seed", str(FIRST), str(LAST), variables=self.task_variables)
        return self.settings

    @cached_property
    def airflow(self) -> AirflowApi:
        """The API of the stack."""
        return AirflowApi(self.stack)

    @cached_property
    def bare(self) -> Bare:
        """A Python process with the environment of a task and its imports process."""
        # The stack must run before its variables are complete.
        _ = self.stack
        variables = self.task_variables
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bare"],
            cwd=self.clone, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        bare = Bare(process)
        self._exit.callback(bare.close)
        return bare

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The flights of one day as callers send them."""
        use_case = catalog().use_cases["air_time"]
        lake = Lake(self.stack.lake_uri)
        frame = lake.read(use_case.feature_view, [LAST], columns=["flight_id", *use_case.features])
        rows: Any = frame.dropna().astype(object).to_dict("records")
        return list(rows)

    @property
    def days(self) -> list[date]:
        """The days whose features are in the lake."""
        return [FIRST + timedelta(days=day) for day in range((LAST - FIRST).days + 1)]

    @property
    def _python_path(self) -> dict[str, str]:
        path = [self.clone, self.clone / "plugins", self.clone / "include" / "stack" / "airflow_config"]
        return {"PYTHONPATH": os.pathsep.join(map(str, path))}

    @property
    def shared(self) -> dict[str, str]:
        return os.environ | environment.shared(self.settings) | self._python_path

    @property
    def task_variables(self) -> dict[str, str]:
        """Return the environment of a task of this stack."""
        credentials = load_credentials(self.settings.root)
        return (
            os.environ | environment.environment_of("airflow", self.settings, credentials) | self._python_path
        )

    def _unpause(self) -> None:
        """Unpause the measured DAGs and wait for the last scheduled training, which skips without data."""
        names = {f"{DAG_CASE}_training", f"{DAG_CASE}_deployment"}
        names |= {f"{name}_ingestion" for name in catalog().datasets}
        names |= {f"{name}_features" for name in catalog().feature_views}
        api = AirflowApi(self.settings)
        end = time.monotonic() + AIRFLOW_TIMEOUT_S
        while names - {dag["dag_id"] for dag in api.dags()}:
            if time.monotonic() > end:
                raise ServiceUnavailable(f"Airflow does not list {names}: {api.import_errors()}")
            time.sleep(POLL_INTERVAL_S)
        for name in sorted(names):
            api.patch(f"/dags/{name}", {"is_paused": False})
        time.sleep(NIGHTLY_SECONDS)
        for run in api.runs(f"{DAG_CASE}_training"):
            api.wait(f"{DAG_CASE}_training", run["dag_run_id"], AIRFLOW_TIMEOUT_S)

    def _run(self, module: str, *arguments: str, variables: dict[str, str]) -> None:
        process = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.clone, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if process.returncode:
            raise ServiceUnavailable(
                f"{module} {' '.join(arguments)} failed:\n{process.stdout}{process.stderr}"
            )


class Bare:
    """The bare process; requests and responses are lines of JSON."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """Send a request and return the response."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"verb": verb, **request}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ServiceUnavailable(
                f"The bare process ended with {self._process.wait(10)}; see its trace above."
            )
        response: dict[str, Any] = json.loads(line)
        if "error" in response:
            raise ServiceUnavailable(f"{verb}: {response['error']}")
        return response

    def close(self) -> None:
        """Close its input and wait for its end; kill it after 20 s."""
        if self._process.stdin is not None:
            # It may have ended before.
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()


def clone(folder: Path, use_cases: Sequence[str]) -> Path:
    """Copy the project into `folder`, declare use cases in it, and commit: tasks ask git for the version."""
    for name in CLONED:
        source = environment.REPOSITORY / name
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, copy)
    for name in use_cases:
        declare(name, folder)
    (folder / ".gitignore").write_text("__pycache__/\n")
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "measured"]):
        subprocess.run([*git, *command], check=True)
    return folder
