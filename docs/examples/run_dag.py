"""
Start a DAG with Airflow's Python client, wait for its end, and print what became of each task.

`python run_dag.py flight_delay_training '{"as_of": "2013-07-01"}'`; the exit code is 0 if the run succeeded.
AIRFLOW_URL, AIRFLOW_USER and AIRFLOW_PASSWORD say where, and as whom.
"""

from __future__ import annotations

import json
import os
import sys
import time

import airflow_client.client as airflow
import httpx
from airflow_client.client.api.dag_run_api import DagRunApi
from airflow_client.client.api.task_instance_api import TaskInstanceApi

POLL_INTERVAL_S = 2.0
ENDED = {"success", "failed"}


def open_client() -> airflow.ApiClient:
    """Log in, and return a client with the token, which is valid for a day."""
    host = os.environ.get("AIRFLOW_URL", "http://127.0.0.1:8080")
    login = {"username": os.environ.get("AIRFLOW_USER", "admin"), "password": os.environ["AIRFLOW_PASSWORD"]}
    response = httpx.post(f"{host}/auth/token", json=login, timeout=60)
    response.raise_for_status()
    token = response.json()["access_token"]
    return airflow.ApiClient(airflow.Configuration(host=host, access_token=token))


def run_dag(client: airflow.ApiClient, dag_id: str, conf: dict[str, object]) -> str:
    """Start a run, wait for its end, print its tasks, and return its state."""
    runs = DagRunApi(client)
    request = airflow.TriggerDAGRunPostBody(logical_date=None, conf=conf)
    run_id = runs.trigger_dag_run(dag_id, request).dag_run_id
    state = ""
    while state not in ENDED:
        time.sleep(POLL_INTERVAL_S)
        state = str(runs.get_dag_run(dag_id, run_id).state.value)
    for task in TaskInstanceApi(client).get_task_instances(dag_id, run_id).task_instances:
        print(f"{task.task_id:20} {task.state.value if task.state else ''}")
    return state


def main() -> int:
    """Run the DAG that the command line names."""
    dag_id, conf = sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    with open_client() as client:
        state = run_dag(client, dag_id, conf)
    print(f"{dag_id}: {state}")
    return 0 if state == "success" else 1


if __name__ == "__main__":
    sys.exit(main())
