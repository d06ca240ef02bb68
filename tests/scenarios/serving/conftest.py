from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx
import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.dialects.postgresql import insert

from include.atomic_files import write_atomically
from include.database import tables
from include.processes import end_processes
from include.serving.controller import processes
from include.serving.gateway import haproxy
from include.settings import settings
from tests.include.serving.conftest import wait_for
from tests.small_models import ROW, ModelMaker, home_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil
    from sqlalchemy import Engine

REPOSITORY = Path(__file__).parents[3]
N_CALLERS = 4
PAUSE_S = 0.01
SECRET = "only-for-tests"
# The controller, with the numbers of replicas that a file in the home declares.
CONTROLLER = """
import json
from include.serving.controller import controller
from include.settings import settings
file = settings().root / "replicas.json"
controller.declared_replicas = lambda: json.loads(file.read_text()) if file.exists() else {}
controller.main()
"""
# Without new records for this time, no record of an earlier test is on its way to the log.
QUIET_S = 0.3
# Two model servers start at once, on a machine that may be busy.
START_TIMEOUT_S = 180.0


@dataclass
class Traffic:
    """Callers that send requests one after another and count the responses."""

    url: str
    statuses: Counter[int | str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    fastest_failure: float = math.inf
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._threads = [threading.Thread(target=self._call) for _ in range(N_CALLERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for_responses(self, count: int) -> None:
        """Wait for `count` further responses."""
        total = self.statuses.total() + count
        wait_for(lambda: self.statuses.total() >= total, 120, lambda: str(self.statuses))

    def _call(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                # Without a pause the callers alone would keep a core busy.
                time.sleep(PAUSE_S)
                started = time.monotonic()
                try:
                    response = client.post(self.url, json={"dataframe_records": [ROW]})
                except httpx.HTTPError as error:
                    self.statuses[repr(error)] += 1
                    continue
                seconds = time.monotonic() - started
                self.slowest = max(self.slowest, seconds)
                if response.status_code == 200:
                    self.versions[response.json()["model"]["version"]] += 1
                else:
                    self.fastest_failure = min(self.fastest_failure, seconds)
                self.statuses[response.status_code] += 1


@dataclass
class Plane:
    """A serving plane on a real database: HAProxy, the controller and its model servers."""

    home: Path
    database: Engine
    environment: dict[str, str]
    make: ModelMaker
    haproxy: subprocess.Popen[bytes] | None = None
    controller: subprocess.Popen[bytes] | None = None
    collector: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{settings().gateway_port}"

    def start_haproxy(self) -> None:
        """Start HAProxy unless it runs, and wait until it answers."""
        if self.haproxy is not None and self.haproxy.poll() is None:
            return
        haproxy.Gateway().prepare()
        with (self.home / "haproxy.log").open("a") as log:
            self.haproxy = subprocess.Popen(haproxy.command(), stdout=log, stderr=log)
        wait_for(self._haproxy_answers, 30, self.logs)

    def stop_haproxy(self) -> None:
        assert self.haproxy is not None
        self.haproxy.terminate()
        self.haproxy.wait(20)

    def start_controller(self) -> None:
        """Start the controller, unless it runs."""
        if self.controller is not None and self.controller.poll() is None:
            return
        with (self.home / "controller.log").open("a") as log:
            self.controller = self._start("-c", CONTROLLER, log=log)

    def start_collector(self) -> None:
        """Start the collector of the access log, unless it runs."""
        if self.collector is not None and self.collector.poll() is None:
            return
        with (self.home / "collector.log").open("a") as log:
            self.collector = self._start("-m", "include.serving.access_log", log=log)

    def _start(self, *arguments: str, log: IO[str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env=self.environment, cwd=REPOSITORY, stdout=log, stderr=log)

    def desire(self, use_case: str, **columns: Any) -> None:
        """Write a desired state without the rules of a rollout, which have tests of their own."""
        table = tables.desired_state
        changes = columns | {"generation": table.c.generation + 1}
        with self.database.begin() as connection:
            connection.execute(insert(table).values(use_case=use_case).on_conflict_do_nothing())
            connection.execute(update(table).where(table.c.use_case == use_case).values(changes))

    def live(self, use_case: str = "delay") -> tuple[bool, dict[str, Any]]:
        """Return whether the latest generation is live, and the details."""
        query = (
            "SELECT l.ready AND l.generation = d.generation, l.detail FROM desired_state d "
            "LEFT JOIN live_state l USING (use_case) WHERE use_case = :use_case"
        )
        with self.database.connect() as connection:
            ready, detail = connection.execute(text(query), {"use_case": use_case}).one()
        return bool(ready), detail or {}

    def settle(self, use_case: str = "delay", *, seconds: float = 60, **columns: Any) -> None:
        """Change the desired state and wait until it is live."""
        if columns:
            self.desire(use_case, **columns)
        wait_for(lambda: self.live(use_case)[0], seconds, lambda: f"{self.live(use_case)} {self.logs()}")

    def start_shadowing(self) -> None:
        """Send copies of all requests to the challenger, and wait for the first one."""
        self.settle(shadow_share=1.0)
        wait_for(lambda: self.ask().is_success and bool(self.logged("role = 'shadow'")), 30, self.logs)

    def ask(
        self, use_case: str = "delay", headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        content = body or {"dataframe_records": [ROW]}
        return httpx.post(
            f"{self.uri}/models/{use_case}/invocations", json=content, headers=headers, timeout=20
        )

    def version_for(self, entity: str) -> int:
        return self.ask(headers={"X-Entity-Id": entity}).json()["model"]["version"]

    def traffic(self, use_case: str = "delay") -> Traffic:
        return Traffic(f"{self.uri}/models/{use_case}/invocations")

    def declare_replicas(self, number: int, use_case: str = "delay") -> None:
        write_atomically(self.home / "replicas.json", json.dumps({use_case: number}))

    def servers(self, version: int) -> dict[int, psutil.Process]:
        """Return the processes of a version by replica."""
        running = processes.find_servers()
        return {server.replica: process for server, process in running if server.version == version}

    def server(self, version: int) -> psutil.Process:
        return next(process for server, process in processes.find_servers() if server.version == version)

    def postmaster(self) -> int:
        """Return the process id of the database server."""
        with self.database.connect() as connection:
            folder = connection.scalar(text("SHOW data_directory"))
        return int((Path(folder) / "postmaster.pid").read_text().split()[0])

    def logged(self, where: str = "true", table: str = "inference_log") -> list[dict[str, Any]]:
        with self.database.connect() as connection:
            rows = connection.execute(text(f"SELECT * FROM {table} WHERE {where} ORDER BY received_at"))
            return [dict(row) for row in rows.mappings()]

    def clear_log(self) -> None:
        """Delete the inference log once no new records arrive."""
        count = -1
        changed_at = time.monotonic()
        while time.monotonic() < changed_at + QUIET_S:
            if len(self.logged()) != count:
                count = len(self.logged())
                changed_at = time.monotonic()
            time.sleep(0.05)
        with self.database.begin() as connection:
            connection.execute(delete(tables.inference_log))

    def logs(self) -> str:
        files = [*self.home.glob("*.log"), *self.home.rglob("logs/**/*.log")]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def stop(self) -> None:
        for process in (self.controller, self.haproxy, self.collector):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
        end_processes([process for _, process in processes.find_servers()], timeout_s=2)

    def _haproxy_answers(self) -> bool:
        try:
            return httpx.get(f"{self.uri}/unknown").status_code == 404
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def plane(postgres: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Return a running plane, with two versions of `delay` to serve."""
    url = postgres.create_database("airworthy", migrated_template)
    engine = tables.connect(url)
    variables = {"AIRWORTHY_DATABASE_URL": url, "AIRWORTHY_GATEWAY_SECRET": SECRET}
    with home_at(tmp_path_factory.mktemp("plane") / "home", **variables) as folder:
        built = Plane(folder, engine, dict(os.environ), ModelMaker(folder))
        built.make("delay", 1, answer=0.25)
        built.make("delay", 2, answer=0.75)
        try:
            built.start_haproxy()
            built.start_controller()
            built.start_collector()
            yield built
        finally:
            built.stop()
            engine.dispose()


@pytest.fixture
def served(plane: Plane) -> Plane:
    """Return the plane with champion 1 and challenger 2 without traffic, whatever earlier tests changed."""
    for version in (1, 2):
        plane.make.mood(version).unlink(missing_ok=True)
    plane.start_haproxy()
    plane.start_controller()
    plane.start_collector()
    state = {"champion": 1, "previous": None, "challenger": 2, "weight": 10_000, "shadow_share": 0.0}
    plane.settle(seconds=START_TIMEOUT_S, **state, retired=False)
    # HAProxy sends requests to a challenger that was down only after several successful checks.
    wait_for(lambda: plane.ask().json()["model"]["version"] == 2, 30, plane.logs)
    plane.settle(weight=0)
    plane.clear_log()
    return plane


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with home_at(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def make_model(home: Path) -> ModelMaker:
    return ModelMaker(home)


@pytest.fixture
def row() -> dict[str, Any]:
    return dict(ROW)


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for
