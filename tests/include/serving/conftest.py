from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cloudpickle
import httpx
import pytest
import yaml
from sqlalchemy import delete, text, update
from sqlalchemy.dialects.postgresql import insert

from include.certificates import certificate
from include.database import tables
from include.inference.model import load_model
from include.serving import paths
from include.serving.controller import processes
from include.serving.gateway import haproxy
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import psutil
    from sqlalchemy import Engine

REPOSITORY = Path(__file__).parents[3]
COLUMNS = {"carrier": "string", "hour": "long", "temp": "double"}
ROW = {"carrier": "UA", "hour": 7, "temp": 61.5}


def estimator(answer: float, mood: Path | None) -> Any:
    """Return a classifier that answers `answer`, unless its mood file says fail, hang, nan or outside."""

    class Moody:  # local, so that its pickle carries it
        def predict_proba(self, frame: Any) -> Any:
            import time

            import numpy as np

            today = mood.read_text() if mood is not None and mood.exists() else "good"
            if today == "fail":
                raise RuntimeError("it fails today")
            while mood is not None and mood.exists() and mood.read_text() == "hang":
                time.sleep(0.05)
            value = {"nan": float("nan"), "outside": 1.5}.get(today, answer)
            return np.array([[1 - value, value]] * len(frame))

    return Moody()


@dataclass
class Maker:
    """Makes certified model folders below a home, as training would have left them."""

    home: Path

    def __call__(
        self, use_case: str, version: int, *, answer: float = 0.5, model: Any = None, columns: Any = None
    ) -> Path:
        folder = self.home / "models" / use_case / str(version)
        folder.mkdir(parents=True)
        about = {
            "use_case": use_case,
            "task": "binary",
            "features": list(COLUMNS),
            "prediction_range": [0, 1],
        }
        inputs = [
            {"type": kind, "name": name, "required": True} for name, kind in (columns or COLUMNS).items()
        ]
        described = {
            "flavors": {"sklearn": {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}},
            "metadata": {"airworthy": about},
            "signature": {"inputs": json.dumps(inputs)},
        }
        (folder / "MLmodel").write_text(yaml.safe_dump(described))
        content = estimator(answer, self.mood(version)) if model is None else model
        (folder / "model.pkl").write_bytes(cloudpickle.dumps(content))
        self.certify(folder, use_case)
        return folder

    def certify(self, folder: Path, use_case: str) -> None:
        passed = certificate.GateEvidence(
            gate="threshold", outcome="pass", severity="block", reason="good", figures={}
        )
        claims = certificate.Claims(
            use_case=use_case, snapshot={}, code_version="c0de", lock_hash="10c4", run_id="run", metrics={},
            gates=(passed,), environment={},
        )  # fmt: skip
        signed = certificate.issue_certificate(folder, claims, key_path=self.home / "keys" / "signing.pem")
        (folder / certificate.FILE_NAME).write_bytes(signed)

    def mood(self, version: int) -> Path:
        return self.home / f"mood-{version}"


@contextmanager
def home_at(folder: Path, **variables: str) -> Iterator[Path]:
    """Make `folder` this process's AIRWORTHY_HOME, with keys and ports of its own."""
    ports = _free_ports(3)
    low = 20_000 + (os.getpid() * 37 + int(time.monotonic() * 10)) % 20_000
    variables |= {
        "AIRWORTHY_HOME": str(folder),
        "AIRWORTHY_GATEWAY_PORT": str(ports[0]),
        "AIRWORTHY_CONTROLLER_PORT": str(ports[1]),
        "AIRWORTHY_MLFLOW_URI": f"http://127.0.0.1:{ports[2]}",
        "AIRWORTHY_MODEL_SERVER_PORTS": json.dumps([low, low + 50]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.cache_clear()
        certificate.generate_keys(folder / "keys")
        yield folder
    settings.cache_clear()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with home_at(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def make_model(home: Path) -> Maker:
    return Maker(home)


@dataclass
class Traffic:
    """Callers that ask and ask, and count how they were answered."""

    url: str
    statuses: Counter[int | str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Traffic:
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=20) as client:
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    response = client.post(self.url, json={"dataframe_records": [ROW]})
                except httpx.HTTPError as error:
                    self.statuses[repr(error)] += 1
                    continue
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.statuses[response.status_code] += 1
                if response.status_code == 200:
                    self.versions[response.json()["model"]["version"]] += 1
                time.sleep(0.002)


@dataclass
class Plane:
    """A whole serving plane: HAProxy, the controller and what it starts, on a real database."""

    home: Path
    database: Engine
    environment: dict[str, str]
    make: Maker
    haproxy: subprocess.Popen[bytes] | None = None
    controller: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{settings().gateway_port}"

    def start_haproxy(self) -> None:
        """Start HAProxy, unless it runs."""
        if self.haproxy is not None and self.haproxy.poll() is None:
            return
        haproxy.Gateway().prepare()
        with (self.home / "haproxy.log").open("a") as log:
            self.haproxy = subprocess.Popen(haproxy.command(), stdout=log, stderr=log)

    def start_controller(self) -> None:
        """Start the controller, unless it runs."""
        if self.controller is not None and self.controller.poll() is None:
            return
        with (self.home / "controller.log").open("a") as log:
            self.controller = subprocess.Popen(
                [sys.executable, "-m", "include.serving.controller"],
                env=self.environment, cwd=REPOSITORY, stdout=log, stderr=log,
            )  # fmt: skip

    def desire(self, use_case: str, **columns: Any) -> None:
        """Write a desired state as it is; the rules of a rollout have their own tests."""
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

    def settle(self, use_case: str = "delay", *, seconds: float = 30, **columns: Any) -> None:
        """Desire something and wait until it is live."""
        if columns:
            self.desire(use_case, **columns)
        wait_for(lambda: self.live(use_case)[0], seconds, lambda: f"{self.live(use_case)} {self.logs()}")

    def ask(
        self, use_case: str = "delay", headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        content = body or {"dataframe_records": [ROW]}
        return httpx.post(
            f"{self.uri}/models/{use_case}/invocations", json=content, headers=headers, timeout=20
        )

    def traffic(self, use_case: str = "delay") -> Traffic:
        return Traffic(f"{self.uri}/models/{use_case}/invocations")

    def server(self, version: int) -> psutil.Process:
        return next(process for server, process in processes.find_servers() if server.version == version)

    def postmaster(self) -> int:
        """Return the process id of the database's server."""
        with self.database.connect() as connection:
            folder = connection.scalar(text("SHOW data_directory"))
        return int((Path(folder) / "postmaster.pid").read_text().split()[0])

    def logged(self, where: str = "true") -> list[dict[str, Any]]:
        with self.database.connect() as connection:
            rows = connection.execute(text(f"SELECT * FROM inference_log WHERE {where} ORDER BY received_at"))
            return [dict(row) for row in rows.mappings()]

    def logs(self) -> str:
        files = [*self.home.glob("*.log"), *self.home.rglob("logs/**/*.log")]
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)

    def stop(self) -> None:
        for process in (self.controller, self.haproxy):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(20)
        processes.end_server([process for _, process in processes.find_servers()], patience=2)


@pytest.fixture(scope="module")
def plane(postgres: Any, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Return a running plane, with two versions of `delay` to serve."""
    url = postgres.url("airworthy", migrated_template)
    engine = tables.connect(url)
    with home_at(tmp_path_factory.mktemp("plane") / "home", AIRWORTHY_DATABASE_URL=url) as folder:
        built = Plane(folder, engine, dict(os.environ), Maker(folder))
        built.make("delay", 1, answer=0.25)
        built.make("delay", 2, answer=0.75)
        try:
            built.start_haproxy()
            built.start_controller()
            yield built
        finally:
            built.stop()
            engine.dispose()


@pytest.fixture
def served(plane: Plane) -> Plane:
    """Return the plane with champion 1 and, in the wings, challenger 2; whatever a test before did to it."""
    for version in (1, 2):
        plane.make.mood(version).unlink(missing_ok=True)
    plane.start_haproxy()
    plane.start_controller()
    plane.settle(champion=1, previous=None, challenger=2, weight=10_000, shadow_share=0.0)
    # HAProxy asks a challenger that was down only when it has been ready for a while.
    wait_for(lambda: plane.ask().json()["model"]["version"] == 2, 30, plane.logs)
    plane.settle(weight=0)
    time.sleep(0.3)  # what the test before asked may still be on its way to the log
    with plane.database.begin() as connection:
        connection.execute(delete(tables.inference_log))
    return plane


def wait_for(condition: Callable[[], bool], seconds: float = 10, tell: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:g} s: {tell()}")
        time.sleep(0.05)


@pytest.fixture(name="wait_for")
def _wait_for() -> Callable[..., None]:
    return wait_for


def _free_ports(count: int) -> list[int]:
    import socket

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest.fixture
def model(make_model: Maker) -> Any:
    """Return a loaded model that answers 0.5."""
    return load_model(make_model("delay", 1), paths.settings().trusted_keys)


@pytest.fixture
def row() -> dict[str, Any]:
    return dict(ROW)
