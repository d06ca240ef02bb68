"""The stack that the demo runs on: wait for DAG runs and find those that asset events started."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from include.errors import AirworthyError
from include.stack.airflow_api import FINAL_STATES
from include.stack.polling import wait_for_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.settings import Settings
    from include.stack.airflow_api import AirflowApi
    from include.stack.demo.console import Step

POLL_INTERVAL_S = 0.5
RUN_TIMEOUT_S = 400.0
FOLLOWER_TIMEOUT_S = 60.0
GATEWAY_TIMEOUT_S = 10.0


class StepFailed(AirworthyError):
    """A step of the demo did not end as it should."""


@dataclass(frozen=True)
class Demo:
    """The stack that the demo runs on, and its Airflow."""

    settings: Settings
    api: AirflowApi

    def finish_run(
        self,
        step: Step,
        dag_id: str,
        run_id: str,
        timeout: float = RUN_TIMEOUT_S,
        *,
        watch: Callable[[dict[str, str]], None] = lambda _: None,
    ) -> dict[str, str]:
        """
        Wait for a run, showing its progress, and return the state of each task.

        `watch` gets the states of the tasks each time that they are read.

        Raises
        ------
        StepFailed
            If it has not ended after `timeout` seconds.
        """

        def read_final_tasks() -> dict[str, str] | None:
            state = self.api.run(dag_id, run_id)["state"]
            tasks = {task["task_id"]: task["state"] for task in self.api.task_instances(dag_id, run_id)}
            watch(tasks)
            if state in FINAL_STATES:
                return tasks
            active = [f"{name} is {now}" for name, now in tasks.items() if now not in (None, "success")]
            step.show_progress(f"{dag_id}: {', '.join(active) or state}")
            return None

        tasks = wait_for_value(read_final_tasks, timeout=timeout, interval=POLL_INTERVAL_S)
        if tasks is None:
            link = self.api.link(dag_id, run_id)
            raise StepFailed(f"{dag_id} did not end within {timeout:.0f} s: {link}")
        return tasks

    def require_success(self, step: Step, dag_id: str, run_id: str, timeout: float = RUN_TIMEOUT_S) -> None:
        """Wait for a run, and raise StepFailed if one of its tasks failed."""
        tasks = self.finish_run(step, dag_id, run_id, timeout)
        failed = [name for name, state in tasks.items() if state == "failed"]
        if failed:
            raise StepFailed(self.api.explain_failure(dag_id, run_id, failed[0]))

    def find_new_run(
        self, step: Step, dag_id: str, former_ids: set[str], timeout: float = FOLLOWER_TIMEOUT_S
    ) -> str | None:
        """Return the newest run of `dag_id` that is not among the former ones; None if none comes in time."""

        def look() -> str | None:
            new_ids = [run_id for run_id in self._newest_run_ids(dag_id) if run_id not in former_ids]
            if new_ids:
                return new_ids[0]
            step.show_progress(f"waiting for {dag_id} to follow")
            return None

        return wait_for_value(look, timeout=timeout, interval=POLL_INTERVAL_S)

    def find_deployment(
        self, step: Step, dag_id: str, version: int, timeout: float = FOLLOWER_TIMEOUT_S
    ) -> str:
        """
        Return the run that the asset event of `version` started.

        Raises
        ------
        StepFailed
            If there is none after `timeout` seconds.
        """

        def look() -> str | None:
            for run_id in self._newest_run_ids(dag_id):
                events = self.api.get(f"/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents")
                if version in {event["extra"].get("version") for event in events["asset_events"]}:
                    return run_id
            step.show_progress(f"waiting for {dag_id} to follow")
            return None

        run_id = wait_for_value(look, timeout=timeout, interval=POLL_INTERVAL_S)
        if run_id is None:
            raise StepFailed(
                f"{dag_id} did not follow version {version} within {timeout:.0f} s. Is it paused?"
            )
        return run_id

    def run_ids(self, dag_id: str) -> set[str]:
        """Return the ids of the runs that exist."""
        return set(self._newest_run_ids(dag_id))

    def model_status(self, use_case: str) -> dict[str, Any]:
        """Return the gateway's answer about a use case; an empty dictionary if it serves none."""
        url = f"{self.settings.gateway_uri}/models/{use_case}"
        response = httpx.get(url, timeout=GATEWAY_TIMEOUT_S)
        body: dict[str, Any] = response.json() if response.is_success else {}
        return body

    def _newest_run_ids(self, dag_id: str) -> list[str]:
        return [str(run["dag_run_id"]) for run in self.api.runs(dag_id)]
