"""The time that Airflow adds to training and deployment."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.errors import ServiceUnavailable
from include.stack.airflow_api import FINAL_STATES
from include.stack.demo.traffic import Traffic
from tests.bench.figures import Figure
from tests.bench.rig import BARE_LIFE_CASE, DAG_CASE, LAST

if TYPE_CHECKING:
    from datetime import date

    from tests.bench.rig import Rig

ROUNDS = 3
# Requests a second during both measurements.
RATE = 20.0
RUN_TIMEOUT_S = 300.0
# Long, so that polling costs little: the end of a run is the time that Airflow recorded.
POLL_INTERVAL_S = 1.0


def lifecycle_overhead_ratio(rig: Rig) -> Figure:
    """Compare the two DAGs with the same calls in one process; the rounds alternate."""
    rig.stack  # noqa: B018  starts the stack before the first round
    days = [LAST + timedelta(days=1 - back) for back in range(ROUNDS, -1, -1)]
    dags: list[dict[str, Any]] = []
    bare: list[dict[str, Any]] = []
    for number, as_of in enumerate(days):
        bare.append(_run_bare(rig, as_of, number))
        dags.append(_run_dags(rig, as_of))
    _write_rounds(rig, {"bare": bare, "dags": dags})
    # The rounds but the first, which has no champion to compare with. Both sides of one are measured one
    # after the other.
    pairs = [(dag["seconds"], calls["seconds"]) for dag, calls in zip(dags[1:], bare[1:], strict=True)]
    dags_s, bare_s = sorted(pairs, key=lambda pair: pair[0] / pair[1])[ROUNDS // 2]
    return Figure(
        "lifecycle_overhead_ratio",
        dags_s / bare_s,
        "ratio",
        "at most 1.3",
        f"training and deployment DAG as a challenger, no bake: {dags_s:.1f} s; the same calls in one "
        f"process, imports done: {bare_s:.1f} s; median of {ROUNDS} pairs, {len(rig.days)} days, "
        f"{RATE:g} requests/s",
    )


def _run_bare(rig: Rig, as_of: date, number: int) -> dict[str, Any]:
    with call_model(rig, BARE_LIFE_CASE):
        return rig.bare.ask("lifecycle", use_case=BARE_LIFE_CASE, as_of=str(as_of), run=f"bench/{number}")


def _run_dags(rig: Rig, as_of: date) -> dict[str, Any]:
    api = rig.airflow
    earlier = {run["dag_run_id"] for run in api.runs(f"{DAG_CASE}_deployment")}
    with call_model(rig, DAG_CASE):
        began = time.time()
        end = time.monotonic() + RUN_TIMEOUT_S
        training = api.trigger(f"{DAG_CASE}_training", {"as_of": str(as_of)})
        _succeed(rig, f"{DAG_CASE}_training", training)
        while not (new := [r for r in api.runs(f"{DAG_CASE}_deployment") if r["dag_run_id"] not in earlier]):
            if time.monotonic() > end:
                raise ServiceUnavailable(f"{DAG_CASE}_deployment did not start within {RUN_TIMEOUT_S:g} s.")
            time.sleep(POLL_INTERVAL_S)
        deployment = new[0]["dag_run_id"]
        _succeed(rig, f"{DAG_CASE}_deployment", deployment)
    ended = _moment(api.run(f"{DAG_CASE}_deployment", deployment)["end_date"])
    runs = {f"{DAG_CASE}_training": training, f"{DAG_CASE}_deployment": deployment}
    tasks: list[dict[str, Any]] = []
    for dag_id, run_id in runs.items():
        tasks += api.task_instances(dag_id, run_id)
    tasks.sort(key=lambda task: str(task["end_date"]))
    return {"seconds": ended - began, "tasks": {task["task_id"]: _span(task, began) for task in tasks}}


def _span(task: dict[str, Any], began: float) -> list[float]:
    """Return start and end of a task in seconds after `began`."""
    return [round(_moment(task[field]) - began, 2) for field in ("start_date", "end_date")]


def _succeed(rig: Rig, dag_id: str, run_id: str) -> None:
    end = time.monotonic() + RUN_TIMEOUT_S
    while (state := rig.airflow.run(dag_id, run_id)["state"]) not in FINAL_STATES and time.monotonic() < end:
        time.sleep(POLL_INTERVAL_S)
    if state != "success":
        states = {t["task_id"]: t["state"] for t in rig.airflow.task_instances(dag_id, run_id)}
        failed = [name for name, task_state in states.items() if task_state == "failed"]
        task_id = (failed or list(states))[0]
        raise ServiceUnavailable(f"{dag_id}: {states}\n{rig.airflow.log(dag_id, run_id, task_id)[-3000:]}")


def call_model(rig: Rig, use_case: str) -> Traffic:
    """Return callers who send `RATE` requests a second, without which a rollout does not go on."""
    return Traffic(rig.stack.gateway_uri, use_case, rig.rows, entity="flight_id", rate=RATE)


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else float("nan")


def _write_rounds(rig: Rig, rounds: dict[str, Any]) -> None:
    """Write the seconds of every task and step of all rounds."""
    rig.home.mkdir(parents=True, exist_ok=True)
    (rig.home / "bench-lifecycle.json").write_text(json.dumps(rounds, indent=1) + "\n")
