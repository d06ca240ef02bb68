"""MLflow stopped, killed and started again: the next try finds what is there, and nothing is there twice."""

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
from tests.conftest import _healthy, _start_mlflow, free_ports, wait_until
from tests.include.conftest import estimators, packaged, packaged_once

__all__ = ["estimators", "packaged", "packaged_once"]
TAGS = {"airworthy.dag": "training", "airworthy.run": "nightly", "airworthy.partition": ""}


class Server:
    """An MLflow of this module's own, to be stopped and started as often as one likes."""

    def __init__(self, folder, database):
        self.folder, self.port = folder, free_ports(1)[0]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.secrets = {"MLFLOW_BACKEND_STORE_URI": database}

    def start(self):
        self.process = _start_mlflow(self.folder, self.port, str(self.folder / "artifacts"), self.secrets)
        wait_until(lambda: _healthy(f"{self.uri}/health", self.process), 120, f"MLflow, see {self.folder}")

    def stop(self, how=signal.SIGTERM):
        os.killpg(self.process.pid, how)
        self.process.wait(60)


@pytest.fixture(scope="module")
def server(postgres, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("mlflow"), postgres.url("mlflow_away"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def life(server, database, packaged, tmp_path, monkeypatch):
    """Return the steps of a training's life in MLflow, by name; each may be tried again."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # or an answer takes minutes
    registry, name = Registry(server.uri, database), f"late_{uuid.uuid4().hex[:8]}"
    (tmp_path / "evidence.json").write_text("{}")
    done = {}

    def step(key, call):
        done[key] = call()

    steps = {
        "run": lambda: step("run", lambda: registry.run_for(name, TAGS)),
        "metrics": lambda: registry.log(done["run"], params={"depth": 3}, metrics={"roc_auc": 0.7}),
        "file": lambda: registry.log_file(done["run"], tmp_path / "evidence.json"),
        "model": lambda: step(
            "model", lambda: registry.log_model(done["run"], packaged, digest=model_digest(packaged), tags={})
        ),
        "version": lambda: step("version", lambda: registry.register(name, done["run"], done["model"], {})),
        "alias": lambda: registry.alias(name, challenger=done["version"]),
        "end": lambda: registry.finish(done["run"]),
    }
    steps["name"] = name
    return steps


def there_is_one_of_each_with_its_results(server, name):
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


def test_every_step_fails_as_an_accident_while_it_is_away_and_goes_on_afterwards(server, life):
    name = life.pop("name")
    life["run"]()
    life["model"]()
    life["version"]()
    server.stop()
    try:
        for step in life.values():
            with pytest.raises(ServiceUnavailable, match="MLflow"):
                step()
    finally:
        server.start()
    for step in life.values():
        step()
    there_is_one_of_each_with_its_results(server, name)


def test_killed_in_the_middle_of_the_work_it_costs_a_retry_and_makes_nothing_twice(server, life):
    name = life.pop("name")
    outages = 0
    for delay in (0.15, 0.4):
        killer = threading.Timer(delay, server.stop, args=(signal.SIGKILL,))
        killer.start()
        try:
            while True:
                for step in life.values():
                    step()
        except ServiceUnavailable:
            outages += 1
        killer.join()
        server.start()
    for step in life.values():
        step()
    assert outages == 2
    there_is_one_of_each_with_its_results(server, name)
