"""The disk of MLflow's artefacts runs full: an accident, nothing is half there, and on it goes with room."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path

import psutil
import pytest

from include.certificates.certificate import FILE_NAME, model_digest
from include.errors import ServiceUnavailable
from include.modeling.registry.registry import Registry
from tests.conftest import _healthy, _start_mlflow, free_ports, wait_until
from tests.include.conftest import estimators, packaged, packaged_once

__all__ = ["estimators", "packaged", "packaged_once"]
LEFT = 32_000  # bytes: room for small files, and for the first half of the others
NAMESPACE = ["unshare", "--map-root-user", "--mount"]


class Store:
    """An MLflow whose artefacts lie on a disk of 8 MB; where none may be mounted, its files may not grow."""

    def __init__(self, folder, database):
        self.disk, port = folder / "artifacts", free_ports(1)[0]
        self.disk.mkdir()
        self.is_mounted = subprocess.run([*NAMESPACE, "true"], check=False).returncode == 0
        mounting = [*NAMESPACE, "sh", "-c", f'mount -t tmpfs -o size=8m full {self.disk} && exec "$@"', "sh"]
        secrets = {"MLFLOW_BACKEND_STORE_URI": database}
        within = mounting if self.is_mounted else []
        self.process = _start_mlflow(folder, port, str(self.disk), secrets, within=within)
        self.uri = f"http://127.0.0.1:{port}"
        wait_until(lambda: _healthy(f"{self.uri}/health", self.process), 120, f"MLflow, see {folder}")

    @property
    def _ballast(self):
        return Path(f"/proc/{self.process.pid}/root{self.disk}/ballast")

    def fill(self):
        if not self.is_mounted:
            self._allow(LEFT)
            return
        disk = os.statvfs(self._ballast.parent)
        self._ballast.write_bytes(bytes(disk.f_bavail * disk.f_frsize - LEFT))

    def free(self):
        if not self.is_mounted:
            self._allow(psutil.RLIM_INFINITY)
            return
        self._ballast.unlink()

    def _allow(self, size):
        server = psutil.Process(self.process.pid)
        for process in (server, *server.children(recursive=True)):
            process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


@pytest.fixture(scope="module")
def store(postgres, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("mlflow"), postgres.url("mlflow_full"))
    yield store
    os.killpg(store.process.pid, signal.SIGTERM)
    store.process.wait(60)


@pytest.fixture
def registry(store, database, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # a cut upload cuts its connection too
    return Registry(store.uri, database)


@pytest.fixture
def run_id(registry):
    tags = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    return registry.run_for("late", tags)


def large(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(400_000))


def test_a_model_and_a_file_without_room_are_finished_by_the_next_try(
    store, registry, run_id, packaged, tmp_path
):
    large(packaged / "weights.bin")
    large(tmp_path / "curve.png")
    store.fill()
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="did not do it"):
            registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
        with pytest.raises(ServiceUnavailable, match="did not do it"):
            registry.log_file(run_id, tmp_path / "curve.png")
        assert registry.logged(run_id) is None
    store.free()
    registry.log_file(run_id, tmp_path / "curve.png")
    model = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert model_digest(registry.fetch(model.model_id, tmp_path / "fetched")) == model.digest
    of_run = {"filter_string": f"source_run_id = '{run_id}'"}
    assert len(registry._client.search_logged_models([registry.experiment("late")], **of_run)) == 1


def test_a_certificate_without_room_certifies_nothing_until_all_of_its_evidence_is_there(
    store, registry, run_id, packaged, tmp_path
):
    model = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    large(packaged / "evidence" / "seen_rows.npy")
    (packaged / FILE_NAME).write_text("signed")
    store.fill()
    with pytest.raises(ServiceUnavailable, match="did not do it"):
        registry.add_certificate(model.model_id, packaged)
    assert not (registry.fetch(model.model_id, tmp_path / "unsigned") / FILE_NAME).exists()
    store.free()
    registry.add_certificate(model.model_id, packaged)
    version = registry.register("late", run_id, model, {})
    assert (registry.download("late", version, tmp_path / "signed") / FILE_NAME).read_text() == "signed"
