"""The ingestion DAG of a dataset that a test declares, run task by task as Airflow does."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import AssetStateStoreResult, ErrorResponse
from airflow.sdk.execution_time.context import AssetStateStoreAccessors

import include.catalog
from dags.ingestion import ingestion_dag
from tests.plugins.conftest import Task, pin_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.declarations import Dataset


@dataclass
class Run(Task):
    """A task instance whose XComs the tasks of the same run can pull."""

    task_id: str = ""
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        super().xcom_push(key, value)
        self.xcoms[self.task_id, key] = self.pushed[key]

    def xcom_pull(self, task_ids: str, key: str, **_: Any) -> Any:
        return self.xcoms.get((task_ids, key))


class Supervisor:
    """Stores the state of assets as JSON by name, as Airflow's database does."""

    def __init__(self) -> None:
        self.state: dict[tuple[str, str], str] = {}

    def send(self, message: Any) -> Any:
        key = (message.name, message.key)
        if message.type.startswith("Set"):
            self.state[key] = json.dumps(message.value)
            return None
        if key not in self.state:
            return ErrorResponse(error="ASSET_STORE_NOT_FOUND")
        return AssetStateStoreResult(value=json.loads(self.state[key]))


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture
def declare_dataset(monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], Dataset]:
    """Return a function that adds a dataset to the catalog."""
    discovered = include.catalog.discover("include")

    def declare(dataset: Dataset) -> Dataset:
        datasets = {**discovered.datasets, dataset.name: dataset}
        pin_catalog(monkeypatch, replace(discovered, datasets=datasets))
        return dataset

    return declare


@pytest.fixture
def ingest(
    context: Callable[..., dict[str, Any]], supervisor: Supervisor
) -> Callable[..., dict[tuple[str, str], Any]]:
    """
    Return a function that runs the tasks of a dataset's ingestion DAG and returns the XComs.

    `partition` is that of an ordinary run, `params` are those of a bulk run. Deferred tasks wait in a
    trigger.
    """

    def run(
        dataset: Dataset, partition: str | None = None, *, run_type: str = "scheduled", **params: str
    ) -> dict[tuple[str, str], Any]:
        dag = ingestion_dag(dataset)
        xcoms: dict[tuple[str, str], Any] = {}
        name = f"{run_type}__{partition or params}"
        run_fields = {"dag_id": dag.dag_id, "run_id": name, "run_type": run_type, "partition_key": partition}
        for task_id in ("wait", "extract", "validate", "publish", "plan", "advance"):
            if task_id not in dag.task_ids:
                continue
            task = dag.get_task(task_id)
            ti = Run(task_id=task_id, xcoms=xcoms)
            store = AssetStateStoreAccessors(task.inlets, task.outlets)
            task_context = context(
                run_fields, params=params, ti=ti, task_instance=ti, task=task, asset_state_store=store
            )
            if task_id == "wait":
                task.poll_interval = timedelta(seconds=0.1)
            task.render_template_fields(task_context)
            ti.xcom_push("return_value", _execute(task, task_context))
            xcoms[task_id, "events"] = task_context["outlet_events"]
        return xcoms

    return run


def _execute(task: Any, task_context: dict[str, Any]) -> Any:
    try:
        return task.execute(task_context)
    except TaskDeferred as deferred:
        _, stored = deferred.trigger.serialize()
        trigger = type(deferred.trigger)(**json.loads(json.dumps(stored)))
        event = asyncio.run(asyncio.wait_for(_first(trigger), 60))
        return getattr(task, deferred.method_name)(task_context, event)


async def _first(trigger: Any) -> Any:
    return (await anext(trigger.run())).payload


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that defines an Airflow connection."""

    def define(conn_id: str, **parts: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(parts))

    return define
