"""
The services of docker-compose.yaml, from an empty project to a served model; `make compose-test` runs it.

It is not collected with the other tests because it needs a Docker Engine, builds images and takes minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from include.settings import Settings
from include.stack.airflow_api import AirflowApi
from include.stack.compose import env
from include.stack.embedded import environment
from tests.conftest import free_ports, wait_until

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "airworthy-test"
FILES = ("docker-compose.yaml", "docker-compose.test.yaml")
BULK = {"first": "2013-01-01", "last": "2013-03-01"}
PORTS = ("airflow_port", "mlflow_port", "gateway_port")
ONE_TIME_SERVICES = {"buckets", "keys", "migrate", "settings"}

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
    """Return a function that runs `docker compose …` on a project of its own."""
    variables = {f"AIRWORTHY_{name.upper()}": str(port) for name, port in ports.items()}
    command = ["docker", "compose", "--project-name", PROJECT, "--env-file", str(env_file)]
    for file in FILES:
        command += ["--file", file]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        process = subprocess.run(
            [*command, *arguments], cwd=environment.REPOSITORY, env=os.environ | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert process.returncode == 0, f"{arguments}: {process.stdout[-2000:]}{process.stderr[-4000:]}"
        return process

    return run


@pytest.fixture(scope="session")
def stack(compose) -> Iterator[Compose]:
    """Start the services with two workers and wait until they are healthy."""
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
    """Trigger the DAGs from ingestion to training and return the state of each run."""
    stack("run", "--rm", "feed", "--until", "2013-03-02")
    states = {}
    # The first day needs no weather: with the flights last, one run builds all days.
    for dag in ("weather_ingestion", "arrivals_ingestion", "flights_ingestion"):
        states[dag] = api.wait(dag, api.trigger(dag, BULK))
    features = _next_run(api, "flight_features_features")
    states["flight_features_features"] = api.wait("flight_features_features", features)
    training = api.trigger("air_time_training")
    states["air_time_training"] = api.wait("air_time_training", training)
    return states


def test_missing_secrets_fail_with_the_command_that_writes_them():
    process = subprocess.run(
        ["docker", "compose", "--env-file", os.devnull, "config"], cwd=environment.REPOSITORY,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode != 0
    assert "run `make env` first" in process.stderr


def test_services_are_healthy_and_one_time_services_succeeded(stack):
    listed = _containers(stack)
    assert {entry["Service"] for entry in listed if entry["State"] == "exited"} == ONE_TIME_SERVICES
    assert {entry["ExitCode"] for entry in listed if entry["State"] == "exited"} == {0}
    running = [entry for entry in listed if entry["State"] == "running"]
    assert {entry["Health"] for entry in running if entry["Service"] != "gateway"} == {"healthy"}


def test_containers_are_unprivileged_and_read_only(stack):
    for entry in _inspected(stack):
        assert entry["Config"]["User"].partition(":")[0] not in ("", "0", "root"), entry["Name"]
        assert entry["HostConfig"]["ReadonlyRootfs"], entry["Name"]
        assert entry["HostConfig"]["CapDrop"] == ["ALL"], entry["Name"]


def test_ports_are_published_on_the_loopback_only(stack, ports):
    published = []
    for entry in _inspected(stack):
        for bindings in (entry["HostConfig"]["PortBindings"] or {}).values():
            published += [(binding["HostIp"], int(binding["HostPort"])) for binding in bindings]
    assert sorted(published) == sorted(("127.0.0.1", port) for port in ports.values())


def test_controller_has_neither_signing_key_nor_store_secret(stack):
    listed = stack("exec", "-T", "controller", "sh", "-c", "ls $AIRWORTHY_HOME/keys; env").stdout
    assert "signing.pem" not in listed
    assert "AWS_SECRET_ACCESS_KEY" not in listed


def test_history_is_ingested_and_a_model_is_trained(trained):
    assert set(trained.values()) == {"success"}


def test_both_workers_run_tasks(trained, api):
    hosts = set()
    for run in api.runs():
        hosts |= {task["hostname"] for task in api.task_instances(run["dag_id"], run["dag_run_id"])}
    assert len(hosts - {None, ""}) == 2


def test_trained_model_is_deployed_and_listed_by_the_gateway(trained, api, ports):
    assert api.wait("air_time_deployment", _next_run(api, "air_time_deployment")) == "success"
    models = httpx.get(f"http://127.0.0.1:{ports['gateway_port']}/models", trust_env=False).json()["models"]
    assert [(model["name"], model["champion"]) for model in models] == [("air_time", 1)]


def test_gateway_is_ready_after_its_containers_are_recreated(trained, stack, ports):
    stack("kill", "gateway")
    stack("up", "--detach", "--wait", "--no-deps", "--force-recreate", "gateway", "haproxy", "controller")
    ready = httpx.get(f"http://127.0.0.1:{ports['gateway_port']}/readyz", trust_env=False)
    assert ready.json()["ready"]


def _next_run(api: AirflowApi, dag: str) -> str:
    wait_until(lambda: api.runs(dag), 120, f"a run of {dag}")
    return str(api.runs(dag)[0]["dag_run_id"])


def _containers(stack: Compose) -> list[dict]:
    lines = stack("ps", "--all", "--format", "json").stdout.splitlines()
    return [entry for entry in map(json.loads, lines) if entry["Service"] != "feed"]


def _inspected(stack: Compose) -> list[dict]:
    names = [entry["Name"] for entry in _containers(stack)]
    process = subprocess.run(["docker", "inspect", *names], capture_output=True, text=True, check=True)
    return json.loads(process.stdout)
