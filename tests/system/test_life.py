"""A model on the running stack: ingestion, training under kills, deployment, serving and backfill."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from contextlib import suppress
from datetime import date, timedelta

import httpx
import psutil
import pytest
from mlflow import MlflowClient

from include.credentials import load_credentials
from include.data.lake.delta_tables import Lake
from include.database import ledger
from include.database.tables import connect, inference_log
from include.governance.doctor import checks
from include.governance.doctor.facts import read_models
from include.modeling.registry.idempotency import post
from include.release import rollout
from include.stack.demo.flights_feed import land
from include.stack.embedded import environment
from include.stack.embedded.supervision import Supervisor
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]

FIRST = date(2013, 1, 1)
LAST = date(2013, 2, 20)
USE_CASE = "air_time"
# The tasks that are killed once, with the seconds between the start of the process and the kill.
KILL_DELAYS_S = {"train": 0.0, "evaluate": 0.2, "register": 0.1}


@pytest.fixture(scope="module")
def history(stack, airflow):
    """Ingest seven weeks of flights in bulk and return the run that built their features."""
    land(stack.landing_uri, LAST + timedelta(days=1))
    # The first day needs no weather: with the flights last, one run builds all days.
    for names in (("weather", "arrivals"), ("flights",)):
        runs = {n: airflow.trigger(f"{n}_ingestion", {"first": str(FIRST), "last": str(LAST)}) for n in names}
        assert {airflow.wait(f"{n}_ingestion", run, 300) for n, run in runs.items()} == {"success"}
    wait_until(lambda: airflow.runs("flight_features_features"), 120, "the run of the features")
    features = airflow.runs("flight_features_features")[0]
    assert airflow.wait("flight_features_features", features["dag_run_id"], 300) == "success"
    return features


def test_features_follow_a_bulk_run_with_the_same_range(history, stack):
    assert history["partition_key"] == f"{FIRST}..{LAST}"
    days = Lake(stack.lake_uri).days("flight_features")
    assert (days[0], days[-1], len(days)) == (FIRST, LAST, (LAST - FIRST).days + 1)


def test_rejected_row_is_discarded_by_the_command_line(history, command):
    rejected = json.loads(command("quarantine", "show", "weather", "--json").stdout)["values"]
    assert [row["_reasons"] for row in rejected] == ["wind_speed is not between 0 and 150"]
    options = ["--row", rejected[0]["_row_id"], "--comment", "a broken anemometer"]
    refused = command("quarantine", "release", "weather", *options)
    assert refused.returncode == 1
    assert "none of 1 rows may be released" in refused.stderr
    discarded = command("quarantine", "discard", "weather", *options, "--json")
    assert discarded.returncode == 0, discarded.stderr
    assert json.loads(discarded.stdout)["discarded"] == 1
    assert json.loads(command("quarantine", "list", "weather", "--json").stdout)["rows"] == 0


def kill_task(airflow, run, task_id, delay_s):
    """Kill the process of a task `delay_s` seconds after it appears."""
    tasks = airflow.task_instances(f"{USE_CASE}_training", run)
    instance = next(task["id"] for task in tasks if task["task_id"] == task_id)
    workers = []
    wait_until(lambda: workers.extend(find_workers(instance)) or workers, 240, f"{task_id} to run")
    time.sleep(delay_s)
    # The process may have ended before.
    with suppress(psutil.NoSuchProcess):
        workers[0].kill()


def find_workers(instance):
    """Yield the processes that execute a task instance; its id is in their title."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if f"worker -- {instance}" in " ".join(process.cmdline()):
                yield process


@pytest.fixture(scope="module")
def trained(history, airflow):
    """Run a training in which three tasks are killed once each."""
    run = airflow.trigger(f"{USE_CASE}_training", {"as_of": str(LAST)})
    for task_id, delay_s in KILL_DELAYS_S.items():
        kill_task(airflow, run, task_id, delay_s)
    assert airflow.wait(f"{USE_CASE}_training", run, 600) == "success"
    return run


def test_killed_training_leaves_one_run_model_and_version(trained, stack, airflow):
    tries = {t["task_id"]: t["try_number"] for t in airflow.task_instances(f"{USE_CASE}_training", trained)}
    # At least one task was killed before it ended.
    assert max(tries[task_id] for task_id in KILL_DELAYS_S) > 1
    client = MlflowClient(stack.mlflow_uri)
    experiment = client.get_experiment_by_name(USE_CASE).experiment_id
    runs = client.search_runs([experiment], f"tags.`airworthy.run` = '{trained}'")
    assert len(runs) == 1
    assert len(client.search_logged_models([experiment])) == 1
    assert len(client.search_model_versions(f"run_id = '{runs[0].info.run_id}'")) == 1
    with database(stack).connect() as connection:
        registered = [e for e in ledger.ledger_entries(connection, USE_CASE) if e["event"] == "registered"]
    assert len(registered) == 1


def test_first_candidate_becomes_champion_and_serves_requests(trained, stack, airflow):
    dag_id = f"{USE_CASE}_deployment"
    wait_until(lambda: airflow.runs(dag_id), 120, "the run of the deployment")
    assert airflow.wait(dag_id, airflow.runs(dag_id)[0]["dag_run_id"], 400) == "success"
    with database(stack).connect() as connection:
        version = rollout.read_state(connection, USE_CASE).champion
    row = {"carrier": "UA", "origin": "EWR", "dest": "SFO", "distance": 2565.0, "hour": 8}
    row |= {"wind_speed": 10.4, "pressure": 1012.0}
    response = httpx.post(
        f"{stack.gateway_uri}/models/{USE_CASE}/invocations",
        json={"dataframe_records": [row]},
        headers={"X-Request-Id": "a-flight-to-san-francisco"},
        timeout=60,
    )
    assert response.status_code == 200, response.text
    assert response.json()["model"] == {"name": USE_CASE, "version": version}
    assert 250 < response.json()["predictions"][0] < 450
    assert response.headers["X-Request-Id"] == "a-flight-to-san-francisco"
    wait_until(lambda: logged(stack, "a-flight-to-san-francisco") == 1, 60, "the inference log")


def test_request_may_contain_only_the_key_of_a_flight(trained, stack, airflow):
    flight = Lake(stack.lake_uri).read("flight_features", [LAST], columns=["flight_id"])["flight_id"][0]
    address = f"{stack.gateway_uri}/models/{USE_CASE}/invocations"
    responses = []

    def is_available():
        responses.append(httpx.post(address, json={"dataframe_records": [{"flight_id": flight}]}, timeout=60))
        return responses[-1].status_code != httpx.codes.SERVICE_UNAVAILABLE

    # On a busy machine the look-up of the features may exceed the time limit of the model server.
    wait_until(is_available, 120, "the features of the flight")
    assert responses[-1].status_code == 200, responses[-1].text
    assert 10 < responses[-1].json()["predictions"][0] < 800


def database(stack):
    return connect(environment.database_url("airworthy", stack, load_credentials(stack.root)))


def logged(stack, request_id):
    with database(stack).connect() as connection:
        return len(
            connection.execute(inference_log.select().where(inference_log.c.request_id == request_id)).all()
        )


def test_backfilled_training_does_not_start_a_deployment(trained, stack, airflow):
    dag_id = f"{USE_CASE}_training"
    deployments = len(airflow.runs(f"{USE_CASE}_deployment"))
    backfill = airflow.backfill(dag_id, LAST, LAST + timedelta(days=1))
    wait_until(lambda: airflow.backfill_done(backfill), 400, "the backfill")
    run = next(run for run in airflow.runs(dag_id) if run["run_type"] == "backfill")
    tasks = {task["task_id"]: task["state"] for task in airflow.task_instances(dag_id, run["dag_run_id"])}
    assert tasks["evaluate"] == "success"
    assert tasks["announce"] != "success"
    assert len(airflow.runs(f"{USE_CASE}_deployment")) == deployments


@pytest.fixture
def declare_rollout(project):
    """Return a function that changes the rollout in the declaration, which is restored at the end."""
    file = project / "include" / "use_cases" / f"{USE_CASE}.py"
    declared = file.read_text()

    def write(text):
        draft = file.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(file)

    def change(rollout):
        changed = re.sub(r"    rollout=Rollout\(.*\),\n", f"    rollout=Rollout({rollout}),\n", declared)
        assert changed != declared
        write(changed)

    yield change
    write(declared)


@pytest.fixture
def copied(trained, stack, airflow):
    """Register the files of the champion as one more version, which no rollout has had yet; return it."""
    dag_id = f"{USE_CASE}_deployment"
    wait_until(lambda: airflow.runs(dag_id), 120, "the run of the deployment")
    assert airflow.wait(dag_id, airflow.runs(dag_id)[0]["dag_run_id"], 400) == "success"
    client = MlflowClient(stack.mlflow_uri)
    with database(stack).begin() as connection:
        champion = client.get_model_version(USE_CASE, str(rollout.read_state(connection, USE_CASE).champion))
        entries = ledger.ledger_entries(connection, USE_CASE)
        evidence = next(entry["evidence"] for entry in entries if entry["event"] == "registered")
        body = {"name": USE_CASE, "source": champion.source, "run_id": champion.run_id}
        body |= {"tags": [{"key": key, "value": value} for key, value in champion.tags.items()]}
        model_id = champion.source.removeprefix("models:/")
        content = post(stack.mlflow_uri, "model-versions/create", body | {"model_id": model_id})
        version = int(content["model_version"]["version"])
        entry = ledger.Entry(USE_CASE, "registered", "a test", "a copy", version, evidence=evidence)
        ledger.append(connection, entry)
    return version


def kill_program(stack, name):
    """Kill a program of the stack, and wait until the supervisor has started it again."""
    before = Supervisor(stack).states()[name].pid
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: Supervisor(stack).states()[name].pid not in (0, before), 180, f"a new {name}")


def doctor_findings(stack):
    models = [model for model in read_models(database(stack), None) if model.state.use_case == USE_CASE]
    return checks.examine(models)


def test_rollout_outlives_kills_and_sees_a_new_declaration(copied, stack, airflow, declare_rollout):
    """The copy of the champion gets no traffic, for which the declaration waits five minutes."""
    dag_id = f"{USE_CASE}_deployment"
    run = airflow.trigger(dag_id, {"version": copied})

    def is_waiting():
        states = {task["task_id"]: task["state"] for task in airflow.task_instances(dag_id, run)}
        return states.get("shadow") == "deferred"

    wait_until(is_waiting, 200, "the shadow step to wait for requests")
    for name in ("triggerer", "scheduler"):
        kill_program(stack, name)
    declare_rollout("bake=timedelta(seconds=1), patience=timedelta(seconds=2), minimum_requests=7")
    # The triggerer sees the patience, and the next worker the number of requests.
    assert airflow.wait(dag_id, run, 400) == "failed"
    assert "0 of the 7 requests that the analysis needs" in airflow.log(dag_id, run, "shadow")
    with database(stack).connect() as connection:
        assert rollout.read_state(connection, USE_CASE).challenger is None
        entry = ledger.ledger_entries(connection, USE_CASE)[0]
    assert (entry["event"], entry["version"]) == ("restored", copied)
    assert "shadow was inconclusive" in entry["reason"]
    wait_until(lambda: not doctor_findings(stack), 120, "the doctor to find nothing")
