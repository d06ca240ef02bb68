"""A full disk of MLflow's artifacts: a transient error, no partial artifacts, and a retry that succeeds."""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from pathlib import Path

import numpy as np
import psutil
import pytest

from include.certificates.certificate import FILE_NAME, model_digest
from include.errors import ServiceUnavailable
from include.modeling.registry.registry import Registry
from tests.conftest import free_ports, is_healthy, start_mlflow, wait_until
from tests.include.conftest import estimators, packaged, packaged_once

__all__ = ["estimators", "packaged", "packaged_once"]
# Room for small files and for the first half of the others.
FREE_BYTES = 32_000
UNSHARE = ["unshare", "--map-root-user", "--mount"]


class Store:
    """An MLflow with artifacts on a disk of 8 MB, or under a limit on file sizes where mounting is denied."""

    def __init__(self, folder, database):
        self.disk = folder / "artifacts"
        port = free_ports(1)[0]
        self.disk.mkdir()
        self.is_mounted = subprocess.run([*UNSHARE, "true"], check=False).returncode == 0
        mounting = [*UNSHARE, "sh", "-c", f'mount -t tmpfs -o size=8m full {self.disk} && exec "$@"', "sh"]
        secrets = {"MLFLOW_BACKEND_STORE_URI": database}
        prefix = mounting if self.is_mounted else []
        self.process = start_mlflow(folder, port, str(self.disk), secrets, prefix=prefix)
        self.uri = f"http://127.0.0.1:{port}"
        wait_until(lambda: is_healthy(f"{self.uri}/health", self.process), 120, f"MLflow, see {folder}")

    @property
    def _ballast(self):
        return Path(f"/proc/{self.process.pid}/root{self.disk}/ballast")

    def fill(self):
        if not self.is_mounted:
            self._limit_file_size(FREE_BYTES)
            return
        disk = os.statvfs(self._ballast.parent)
        self._ballast.write_bytes(bytes(disk.f_bavail * disk.f_frsize - FREE_BYTES))

    def free(self):
        if not self.is_mounted:
            self._limit_file_size(psutil.RLIM_INFINITY)
            return
        self._ballast.unlink()

    def _limit_file_size(self, size):
        server = psutil.Process(self.process.pid)
        for process in (server, *server.children(recursive=True)):
            process.rlimit(psutil.RLIMIT_FSIZE, (size, psutil.RLIM_INFINITY))


@pytest.fixture(scope="module")
def store(postgres, tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("mlflow"), postgres.create_database("mlflow_full"))
    yield store
    os.killpg(store.process.pid, signal.SIGTERM)
    store.process.wait(60)


@pytest.fixture
def registry(store, database, monkeypatch):
    # One retry: an upload that fails breaks its connection, too.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return Registry(store.uri, database)


@pytest.fixture
def run_id(registry):
    tags = {"airworthy.dag": "training", "airworthy.run": uuid.uuid4().hex, "airworthy.partition": ""}
    return registry.run_for("late", tags)


def write_large_file(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(np.random.default_rng(0).bytes(400_000))


def test_model_and_file_on_a_full_disk_are_logged_by_a_retry(store, registry, run_id, packaged, tmp_path):
    write_large_file(packaged / "weights.bin")
    write_large_file(tmp_path / "curve.png")
    store.fill()
    for _ in range(2):
        with pytest.raises(ServiceUnavailable, match="did not complete the request"):
            registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
        with pytest.raises(ServiceUnavailable, match="did not complete the request"):
            registry.log_file(run_id, tmp_path / "curve.png")
        assert registry.logged_model(run_id) is None
    store.free()
    registry.log_file(run_id, tmp_path / "curve.png")
    model = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    assert model_digest(registry.fetch_model(model.model_id, tmp_path / "fetched")) == model.digest
    of_run = {"filter_string": f"source_run_id = '{run_id}'"}
    assert len(registry._client.search_logged_models([registry.ensure_experiment("late")], **of_run)) == 1


def test_certificate_on_a_full_disk_is_absent_until_complete(store, registry, run_id, packaged, tmp_path):
    model = registry.log_model(run_id, packaged, digest=model_digest(packaged), tags={})
    write_large_file(packaged / "evidence" / "seen_rows.npy")
    (packaged / FILE_NAME).write_text("signed")
    store.fill()
    with pytest.raises(ServiceUnavailable, match="did not complete the request"):
        registry.add_certificate(model.model_id, packaged)
    assert not (registry.fetch_model(model.model_id, tmp_path / "unsigned") / FILE_NAME).exists()
    store.free()
    registry.add_certificate(model.model_id, packaged)
    version = registry.register("late", run_id, model, {})
    assert (registry.download("late", version, tmp_path / "signed") / FILE_NAME).read_text() == "signed"
