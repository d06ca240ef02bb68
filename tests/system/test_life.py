from __future__ import annotations

import random
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
from include.release import rollout
from include.stack.demo.flights_feed import land
from include.stack.embedded import environment
from tests.conftest import wait_until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

FIRST, LAST = date(2013, 1, 1), date(2013, 2, 20)
USE_CASE = "air_time"
KILLED = ("train", "evaluate", "register")


@pytest.fixture(scope="module")
def history(stack, airflow):
    """Seven weeks of real flights, ingested in bulk, with the features that followed."""
    land(stack.landing_uri, LAST + timedelta(days=1))
    names = ("flights", "weather", "arrivals")
    runs = {n: airflow.trigger(f"{n}_ingestion", {"first": str(FIRST), "last": str(LAST)}) for n in names}
    assert {airflow.wait(f"{n}_ingestion", run, 300) for n, run in runs.items()} == {"success"}
    wait_until(lambda: airflow.runs("flight_features_features"), 60, "the features to follow")
    follower = airflow.runs("flight_features_features")[0]
    assert airflow.wait("flight_features_features", follower["dag_run_id"], 300) == "success"
    return follower


def test_features_follow_a_bulk_run_with_the_same_range(history, stack):
    assert history["partition_key"] == f"{FIRST}..{LAST}"
    days = Lake(stack.lake_uri).days("flight_features")
    assert (days[0], days[-1], len(days)) == (FIRST, LAST, (LAST - FIRST).days + 1)


def kill_amid(airflow, run, task_id):
    """Kill the process of a task as soon as it is there, or a moment later."""
    tasks = airflow.task_instances(f"{USE_CASE}_training", run)
    instance = next(task["id"] for task in tasks if task["task_id"] == task_id)
    found = []
    wait_until(lambda: found.extend(working_on(instance)) or found, 240, f"{task_id} to run")
    time.sleep(random.uniform(0, 0.2))
    with suppress(psutil.NoSuchProcess):  # it was quicker
        found[0].kill()


def working_on(instance):
    """Return the processes that execute a task instance, whose id is their title."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess):
            if f"worker -- {instance}" in " ".join(process.cmdline()):
                yield process


@pytest.fixture(scope="module")
def trained(history, airflow):
    """A training run in which three tasks were killed once each."""
    run = airflow.trigger(f"{USE_CASE}_training", {"as_of": str(LAST)})
    for task_id in KILLED:
        kill_amid(airflow, run, task_id)
    assert airflow.wait(f"{USE_CASE}_training", run, 600) == "success"
    return run


def test_a_training_that_was_killed_leaves_one_run_one_model_and_one_version(trained, stack, airflow):
    tries = {t["task_id"]: t["try_number"] for t in airflow.task_instances(f"{USE_CASE}_training", trained)}
    assert max(tries[task_id] for task_id in KILLED) > 1  # or nothing was killed amid its work
    client = MlflowClient(stack.mlflow_uri)
    experiment = client.get_experiment_by_name(USE_CASE).experiment_id
    runs = client.search_runs([experiment], f"tags.`airworthy.run` = '{trained}'")
    assert len(runs) == 1
    assert len(client.search_logged_models([experiment])) == 1
    assert len(client.search_model_versions(f"run_id = '{runs[0].info.run_id}'")) == 1
    with database(stack).connect() as connection:
        registered = [e for e in ledger.ledger_entries(connection, USE_CASE) if e["event"] == "registered"]
    assert len(registered) == 1


def test_a_first_candidate_becomes_the_champion_and_answers_callers(trained, stack, airflow):
    dag_id = f"{USE_CASE}_deployment"
    wait_until(lambda: airflow.runs(dag_id), 60, "the deployment to follow")
    assert airflow.wait(dag_id, airflow.runs(dag_id)[0]["dag_run_id"], 400) == "success"
    with database(stack).connect() as connection:
        version = rollout.read_state(connection, USE_CASE).champion
    row = {"carrier": "UA", "origin": "EWR", "dest": "SFO", "distance": 2565.0, "hour": 8}
    row |= {"wind_speed": 10.4, "pressure": 1012.0}
    answer = httpx.post(
        f"{stack.gateway_uri}/models/{USE_CASE}/invocations",
        json={"dataframe_records": [row]},
        headers={"X-Request-Id": "a-flight-to-san-francisco"},
        timeout=20,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == {"name": USE_CASE, "version": version}
    assert 250 < answer.json()["predictions"][0] < 450
    assert answer.headers["X-Request-Id"] == "a-flight-to-san-francisco"
    wait_until(lambda: logged(stack, "a-flight-to-san-francisco") == 1, 20, "the inference log")


def test_a_caller_may_send_only_a_flight_s_key(trained, stack, airflow):
    flight = Lake(stack.lake_uri).read("flight_features", [LAST], columns=["flight_id"])["flight_id"][0]
    address = f"{stack.gateway_uri}/models/{USE_CASE}/invocations"
    for _ in range(20):  # a busy machine may take longer than a caller is made to wait
        answer = httpx.post(address, json={"dataframe_records": [{"flight_id": flight}]}, timeout=20)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(0.5)
    assert answer.status_code == 200, answer.text
    assert 10 < answer.json()["predictions"][0] < 800


def database(stack):
    return connect(environment.database_url("airworthy", stack, load_credentials(stack.root)))


def logged(stack, request_id):
    with database(stack).connect() as connection:
        return len(
            connection.execute(inference_log.select().where(inference_log.c.request_id == request_id)).all()
        )


def test_a_backfilled_training_registers_evidence_and_moves_nothing(trained, stack, airflow):
    dag_id = f"{USE_CASE}_training"
    deployments = len(airflow.runs(f"{USE_CASE}_deployment"))
    backfill = airflow.backfill(dag_id, LAST, LAST + timedelta(days=1))
    wait_until(lambda: airflow.backfill_done(backfill), 400, "the backfill")
    run = next(run for run in airflow.runs(dag_id) if run["run_type"] == "backfill")
    tasks = {task["task_id"]: task["state"] for task in airflow.task_instances(dag_id, run["dag_run_id"])}
    assert tasks["evaluate"] == "success"
    assert tasks["nominate"] != "success"
    assert len(airflow.runs(f"{USE_CASE}_deployment")) == deployments
