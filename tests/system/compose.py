"""
The composed services, from nothing to a served model: `make compose-test`, which needs a Docker engine.

Not collected with the other tests, since it builds images and takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from include.settings import Settings
from include.stack.airflow_api import AirflowApi
from include.stack.compose import env
from include.stack.embedded import environment
from tests.conftest import free_ports

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "airworthy-test"
FILES = ("docker-compose.yaml", "docker-compose.test.yaml")
BULK = {"first": "2013-01-01", "last": "2013-03-01"}
PORTS = ("airflow_port", "mlflow_port", "gateway_port")
ONCE = {"buckets", "keys", "migrate", "settings"}

Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def ports() -> dict[str, int]:
    return dict(zip(PORTS, free_ports(len(PORTS)), strict=True))


@pytest.fixture(scope="session")
def env_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("compose") / ".env"
    env.write_env_file(file)
    return file


@pytest.fixture(scope="session")
def compose(env_file, ports) -> Compose:
    """Run `docker compose …` on a project of its own."""
    variables = {f"AIRWORTHY_{name.upper()}": str(port) for name, port in ports.items()}
    command = ["docker", "compose", "--project-name", PROJECT, "--env-file", str(env_file)]
    command += [part for file in FILES for part in ("--file", file)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        answer = subprocess.run(
            [*command, *arguments], cwd=environment.REPOSITORY, env=os.environ | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, f"{arguments}: {answer.stdout[-2000:]}{answer.stderr[-4000:]}"
        return answer

    return run


@pytest.fixture(scope="session")
def stack(compose) -> Iterator[Compose]:
    """Return the services, healthy, with two workers."""
    try:
        compose("up", "--build", "--wait", "--scale", "worker=2")
        yield compose
    finally:
        compose("down", "--volumes", "--remove-orphans")


@pytest.fixture(scope="session")
def api(stack, ports, env_file, tmp_path_factory) -> AirflowApi:
    secrets = dict(line.split("=", 1) for line in env_file.read_text().splitlines())
    settings = Settings(home=tmp_path_factory.mktemp("home"), **ports)
    logins = settings.root / "airflow" / "passwords.json"
    logins.parent.mkdir()
    logins.write_text(json.dumps({"admin": secrets["ADMIN_PASSWORD"]}))
    return AirflowApi(settings)


@pytest.fixture(scope="session")
def trained(stack, api) -> dict[str, str]:
    """Return the states of the runs from landing to registration, each started as a user would."""
    stack("run", "--rm", "feed", "--until", "2013-03-02")
    runs = {
        dag: api.trigger(dag, BULK)
        for dag in ("flights_ingestion", "weather_ingestion", "arrivals_ingestion")
    }
    states = {dag: api.wait(dag, run) for dag, run in runs.items()}
    features = _next_run(api, "flight_features_features")
    states["flight_features_features"] = api.wait("flight_features_features", features)
    training = api.trigger("air_time_training")
    states["air_time_training"] = api.wait("air_time_training", training)
    return states


def test_without_its_secrets_nothing_starts_and_the_command_to_type_is_named():
    answer = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, "config"], cwd=environment.REPOSITORY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode != 0
    assert "run `make env` first" in answer.stderr


def test_every_service_is_healthy_and_every_preparation_ended_well(stack):
    listed = _containers(stack)
    assert {entry["Service"] for entry in listed if entry["State"] == "exited"} == ONCE
    assert {entry["ExitCode"] for entry in listed if entry["State"] == "exited"} == {0}
    running = [entry for entry in listed if entry["State"] == "running"]
    assert {entry["Health"] for entry in running if entry["Service"] != "gateway"} == {"healthy"}


def test_no_container_runs_as_root_or_may_write_to_its_image(stack):
    for entry in _inspected(stack):
        assert entry["Config"]["User"].partition(":")[0] not in ("", "0", "root"), entry["Name"]
        assert entry["HostConfig"]["ReadonlyRootfs"], entry["Name"]
        assert entry["HostConfig"]["CapDrop"] == ["ALL"], entry["Name"]


def test_ports_are_published_on_this_machine_only(stack, ports):
    published = [
        (binding["HostIp"], int(binding["HostPort"]))
        for entry in _inspected(stack)
        for bindings in (entry["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    ]
    assert sorted(published) == sorted(("127.0.0.1", port) for port in ports.values())


def test_the_serving_side_has_neither_the_signing_key_nor_the_object_stores(stack):
    listed = stack("exec", "-T", "controller", "sh", "-c", "ls $AIRWORTHY_HOME/keys; env").stdout
    assert "signing.pem" not in listed
    assert "AWS_SECRET_ACCESS_KEY" not in listed


def test_a_history_is_ingested_and_a_model_trained_on_the_object_store(trained):
    assert set(trained.values()) == {"success"}


def test_both_workers_took_part(trained, api):
    hosts = {
        task["hostname"]
        for run in api.runs()
        for task in api.task_instances(run["dag_id"], run["dag_run_id"])
        if task["hostname"]
    }
    assert len(hosts) == 2


def test_the_trained_model_is_certified_deployed_and_answers(trained, api, ports):
    assert api.wait("air_time_deployment", _next_run(api, "air_time_deployment")) == "success"
    models = httpx.get(f"http://127.0.0.1:{ports['gateway_port']}/models", trust_env=False).json()["models"]
    assert [(model["name"], model["champion"]) for model in models] == [("air_time", 1)]


def test_a_controller_follows_one_whose_network_vanished(trained, stack, ports):
    stack("kill", "gateway")
    stack("up", "--detach", "--wait", "--no-deps", "--force-recreate", "gateway", "haproxy", "controller")
    ready = httpx.get(f"http://127.0.0.1:{ports['gateway_port']}/readyz", trust_env=False)
    assert ready.json()["ready"]


def _next_run(api: AirflowApi, dag: str, patience: float = 120) -> str:
    end = time.monotonic() + patience
    while not (runs := api.runs(dag)):
        assert time.monotonic() < end, f"{dag} was not triggered"
        time.sleep(1)
    return str(runs[0]["dag_run_id"])


def _containers(stack: Compose) -> list[dict]:
    lines = stack("ps", "--all", "--format", "json").stdout.splitlines()
    return [entry for entry in map(json.loads, lines) if entry["Service"] != "feed"]


def _inspected(stack: Compose) -> list[dict]:
    names = [entry["Name"] for entry in _containers(stack)]
    answer = subprocess.run(["docker", "inspect", *names], capture_output=True, text=True, check=True)
    return json.loads(answer.stdout)
