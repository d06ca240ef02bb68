"""What Airflow adds to the making and releasing of a model."""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.errors import ServiceUnavailable
from include.stack.airflow_api import FINAL_STATES
from include.stack.demo.traffic import Traffic
from tests.bench.figures import Figure
from tests.bench.rig import BARE_CASE, DAG_CASE, LAST

if TYPE_CHECKING:
    from datetime import date

    from tests.bench.rig import Rig

ROUNDS = 3
RATE = 20.0  # requests a second while both sides work
PATIENCE = 300.0
POLL = 1.0  # seconds; looking on must not slow down what is looked at: the end is what Airflow wrote down


def lifecycle_overhead_ratio(rig: Rig) -> Figure:
    """Compare the two DAGs with the same calls in a bare process, round by round in turns."""
    rig.stack  # noqa: B018  everything is up before the first round
    days = [LAST + timedelta(days=1 - back) for back in range(ROUNDS, -1, -1)]
    dags, bare = [], []
    for number, as_of in enumerate(days):  # the first round makes the first champions, and is not counted
        bare.append(_bare(rig, as_of, number))
        dags.append(_dags(rig, as_of))
    _keep(rig, {"bare": bare, "dags": dags})
    ours, theirs = (statistics.median(one["seconds"] for one in found[1:]) for found in (dags, bare))
    return Figure(
        "lifecycle_overhead_ratio",
        ours / theirs,
        "ratio",
        "at most 1.5",
        f"training and deployment DAG as a challenger, no bake: {ours:.1f} s; the same calls in one process, "
        f"imports done: {theirs:.1f} s; medians of {ROUNDS}, {len(rig.days)} days, {RATE:g} requests/s",
    )


def _bare(rig: Rig, as_of: date, number: int) -> dict[str, Any]:
    with _callers(rig, BARE_CASE):
        return rig.bare.ask("lifecycle", use_case=BARE_CASE, as_of=str(as_of), run=f"bench/{number}")


def _dags(rig: Rig, as_of: date) -> dict[str, Any]:
    api, known = rig.airflow, {run["dag_run_id"] for run in rig.airflow.runs(f"{DAG_CASE}_deployment")}
    with _callers(rig, DAG_CASE):
        began, end = time.time(), time.monotonic() + PATIENCE
        training = api.trigger(f"{DAG_CASE}_training", {"as_of": str(as_of)})
        _succeed(rig, f"{DAG_CASE}_training", training)
        while not (new := [r for r in api.runs(f"{DAG_CASE}_deployment") if r["dag_run_id"] not in known]):
            if time.monotonic() > end:
                raise ServiceUnavailable(f"{DAG_CASE}_deployment did not follow within {PATIENCE:g} s.")
            time.sleep(POLL)
        deployment = new[0]["dag_run_id"]
        _succeed(rig, f"{DAG_CASE}_deployment", deployment)
    ended = _moment(api.run(f"{DAG_CASE}_deployment", deployment)["end_date"])
    runs = {f"{DAG_CASE}_training": training, f"{DAG_CASE}_deployment": deployment}
    tasks = [task for dag_id, run_id in runs.items() for task in api.task_instances(dag_id, run_id)]
    ordered = sorted(tasks, key=lambda task: str(task["end_date"]))
    return {
        "seconds": ended - began,
        "tasks": {
            task["task_id"]: [round(_moment(task[when]) - began, 2) for when in ("start_date", "end_date")]
            for task in ordered
        },
    }


def _succeed(rig: Rig, dag_id: str, run_id: str) -> None:
    end = time.monotonic() + PATIENCE
    while (state := rig.airflow.run(dag_id, run_id)["state"]) not in FINAL_STATES and time.monotonic() < end:
        time.sleep(POLL)
    if state != "success":
        states = {t["task_id"]: t["state"] for t in rig.airflow.task_instances(dag_id, run_id)}
        failed = next((name for name, found in states.items() if found == "failed"), next(iter(states)))
        raise ServiceUnavailable(f"{dag_id}: {states}\n{rig.airflow.log(dag_id, run_id, failed)[-3000:]}")


def _callers(rig: Rig, use_case: str) -> Traffic:
    return Traffic(rig.stack.gateway_uri, use_case, rig.rows, entity="flight_id", rate=RATE)


def _moment(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else float("nan")


def _keep(rig: Rig, found: dict[str, Any]) -> None:
    """Write down where the time went, for whoever wants the ratio lower."""
    rig.home.mkdir(parents=True, exist_ok=True)
    (rig.home / "bench-lifecycle.json").write_text(json.dumps(found, indent=1) + "\n")
