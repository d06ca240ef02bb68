"""MLflow stopped, killed and started again: the next try completes the work and duplicates nothing."""

from __future__ import annotations

import os
import signal
import threading
import uuid

import mlflow
import pytest

from include.certificates.certificate import model_digest
from include.errors import ServiceUnavailable
from include.modeling.registry.registry import Registry
from tests.conftest import free_ports, is_healthy, start_mlflow, wait_until
from tests.include.conftest import estimators, packaged, packaged_once

__all__ = ["estimators", "packaged", "packaged_once"]
TAGS = {"airworthy.dag": "training", "airworthy.run": "nightly", "airworthy.partition": ""}


class Server:
    """An MLflow of this module that can be stopped and started."""

    def __init__(self, folder, database):
        self.folder = folder
        self.port = free_ports(1)[0]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.secrets = {"MLFLOW_BACKEND_STORE_URI": database}

    def start(self):
        self.process = start_mlflow(self.folder, self.port, str(self.folder / "artifacts"), self.secrets)
        wait_until(lambda: is_healthy(f"{self.uri}/health", self.process), 120, f"MLflow, see {self.folder}")

    def stop(self, signal_number=signal.SIGTERM):
        os.killpg(self.process.pid, signal_number)
        self.process.wait(60)


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mlflow"), postgres.create_database("mlflow_away"))
    server.start()
    yield server
    server.stop()


class Training:
    """The steps of a training in MLflow; each may be repeated."""

    def __init__(self, registry, package, evidence):
        self.registry = registry
        self.package = package
        self.evidence = evidence
        self.name = f"late_{uuid.uuid4().hex[:8]}"
        self.steps = (
            self.start_run, self.log_results, self.log_file, self.log_model, self.register, self.set_alias,
            self.finish,
        )  # fmt: skip

    def start_run(self):
        self.run_id = self.registry.run_for(self.name, TAGS)

    def log_results(self):
        self.registry.log(self.run_id, params={"depth": 3}, metrics={"roc_auc": 0.7})

    def log_file(self):
        self.registry.log_file(self.run_id, self.evidence)

    def log_model(self):
        digest = model_digest(self.package)
        self.model = self.registry.log_model(self.run_id, self.package, digest=digest, tags={})

    def register(self):
        self.version = self.registry.register(self.name, self.run_id, self.model, {})

    def set_alias(self):
        self.registry.set_aliases(self.name, challenger=self.version)

    def finish(self):
        self.registry.finish(self.run_id)

    def run(self):
        for step in self.steps:
            step()


@pytest.fixture
def training(server, database, packaged, tmp_path, monkeypatch):
    # With retries, each failure takes minutes.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    evidence = tmp_path / "evidence.json"
    evidence.write_text("{}")
    return Training(Registry(server.uri, database), packaged, evidence)


def assert_one_of_each_with_its_results(server, name):
    client = mlflow.MlflowClient(server.uri, server.uri)
    experiment = client.get_experiment_by_name(name).experiment_id
    (run,) = client.search_runs([experiment], run_view_type=mlflow.entities.ViewType.ALL)
    assert (run.info.status, run.data.metrics, run.data.params) == (
        "FINISHED",
        {"roc_auc": 0.7},
        {"depth": "3"},
    )
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["evidence.json"]
    (model,) = client.search_logged_models([experiment])
    assert model.status == "READY"
    (version,) = client.search_model_versions(f"name = '{name}'")
    assert client.get_registered_model(name).aliases == {"challenger": version.version}


def test_steps_fail_while_mlflow_is_down_and_succeed_afterwards(server, training):
    training.start_run()
    training.log_model()
    training.register()
    server.stop()
    try:
        for step in training.steps:
            with pytest.raises(ServiceUnavailable, match="MLflow"):
                step()
    finally:
        server.start()
    training.run()
    assert_one_of_each_with_its_results(server, training.name)


def test_kill_of_mlflow_costs_a_retry_and_duplicates_nothing(server, training):
    outages = 0
    for delay in (0.15, 0.4):
        killer = threading.Timer(delay, server.stop, args=(signal.SIGKILL,))
        killer.start()
        try:
            while True:
                training.run()
        except ServiceUnavailable:
            outages += 1
        killer.join()
        server.start()
    training.run()
    assert outages == 2
    assert_one_of_each_with_its_results(server, training.name)
