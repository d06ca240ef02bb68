"""Airflow's REST API in the few verbs that the demo, the tests and the benchmarks need."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from include.credentials import admin_login
from include.errors import AirworthyError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from include.settings import Settings

FINAL = ("success", "failed")


class RunFailed(AirworthyError):
    """A DAG run failed."""


class AirflowApi:
    """A logged-in client of the embedded stack's api-server."""

    def __init__(self, settings: Settings) -> None:
        self.uri = settings.airflow_uri
        self._home = settings.root
        self._http = httpx.Client(base_url=self.uri, timeout=30, trust_env=False)

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        partition_key: str | None = None,
        run_id: str | None = None,
    ) -> str:
        """Start a run now and return its id."""
        body = {
            "logical_date": None,
            "conf": dict(conf or {}),
            "partition_key": partition_key,
            "dag_run_id": run_id,
        }
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, first: date, last: date, *, reprocess: str = "completed") -> int:
        """Ask for a run of every day from `first` to `last`, both included, and return the backfill's id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": reprocess,
        }
        return int(self.post("/backfills", body)["id"])

    def backfill_done(self, backfill_id: int) -> bool:
        """Whether every run of a backfill has ended."""
        return self.get(f"/backfills/{backfill_id}")["completed_at"] is not None

    def wait(self, dag_id: str, run_id: str, timeout: float = 600) -> str:
        """
        Return the final state of a run.

        :raises ServiceUnavailable: when it is still going after `timeout` seconds
        """
        end = time.monotonic() + timeout
        while (state := str(self.run(dag_id, run_id)["state"])) not in FINAL:
            if time.monotonic() > end:
                raise ServiceUnavailable(
                    f"Run {run_id} of {dag_id} is still {state} after {timeout:g} s. "
                    f"See {self.link(dag_id, run_id)}"
                )
            time.sleep(0.3)
        return state

    def require_success(self, dag_id: str, run_id: str, timeout: float = 600) -> None:
        """
        Wait for a run.

        Raises
        ------
        RunFailed
            If it failed, with the reason in the failed task's log.
        ServiceUnavailable
            If it has not ended after `timeout` seconds.
        """
        if self.wait(dag_id, run_id, timeout) == "success":
            return
        tasks = self.task_instances(dag_id, run_id)
        failed = [task["task_id"] for task in tasks if task["state"] == "failed"]
        if not failed:
            raise RunFailed(f"{dag_id} failed without a failed task: {self.link(dag_id, run_id)}")
        raise RunFailed(self.explain_failure(dag_id, run_id, failed[0]))

    def explain_failure(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Return why a task failed, as the log of its last try says it, and the run's page."""
        tries = {task["task_id"]: task["try_number"] for task in self.task_instances(dag_id, run_id)}
        lines = self.log(dag_id, run_id, task_id, try_number=tries[task_id]).splitlines()
        errors = [line for line in lines if any(word in line for word in ("Error", "Failed", "Invalid"))]
        candidates = errors or lines
        reason = candidates[-1] if candidates else "its log is empty"
        return f"{dag_id}.{task_id} failed: {reason}\n{self.link(dag_id, run_id)}"

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str = "~", **filters: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG (`~`: of all), newest first; `filters` are the API's, such as `state`."""
        return self._all(f"/dags/{dag_id}/dagRuns", "dag_runs", {"order_by": "-run_after", **filters})

    def dags(self) -> list[dict[str, Any]]:
        """Return every DAG that Airflow knows."""
        return self._all("/dags", "dags", {})

    def import_errors(self) -> list[dict[str, Any]]:
        """Return what could not be imported, with file and stack trace."""
        return self._all("/importErrors", "import_errors", {})

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the tasks of a run."""
        return self._all(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances", {})

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return what one try of a task printed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, map_index=map_index, full_content="true")["content"]
        return "\n".join(line for entry in content for line in _lines(entry))

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1
    ) -> Any:
        """Return a value that a task pushed; None when it did not."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._send(
            "GET", path, params={"map_index": map_index, "deserialize": "true"}, missing_ok=True
        )
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.json()["value"]

    def link(self, dag_id: str, run_id: str) -> str:
        """Return the page of a run in the UI."""
        return str(httpx.URL(self.uri).join(f"/dags/{dag_id}/runs/{run_id}"))

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return what a GET below `/api/v2` answers."""
        return self._json(self._send("GET", path, params=params))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a POST below `/api/v2` answers; it is sent once, a lost answer is not asked again."""
        return self._json(self._send("POST", path, json=dict(body)))

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a PATCH below `/api/v2` answers."""
        return self._json(self._send("PATCH", path, json=dict(body)))

    def _all(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            page = self.get(path, **params, limit=100, offset=len(entries))
            entries += page[name]
            if not page[name] or len(entries) >= page["total_entries"]:
                return entries

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        return body

    def _send(self, method: str, path: str, *, missing_ok: bool = False, **request: Any) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._try(method, path, request)
        if answer.status_code == httpx.codes.UNAUTHORIZED:  # the token's day is over
            self._log_in()
            answer = self._try(method, path, request)
        if answer.is_error and not (missing_ok and answer.status_code == httpx.codes.NOT_FOUND):
            raise ServiceUnavailable(
                f"Airflow answers {answer.status_code} to {method} {path}: {answer.text[:500]}"
            )
        return answer

    def _try(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        attempts = 4 if method == "GET" else 1
        try:
            return Retrying(
                stop=stop_after_attempt(attempts),
                wait=wait_exponential(0.2),
                retry=retry_if_exception_type(httpx.TransportError),
                reraise=True,
            )(self._http.request, method, f"/api/v2{path}", **request)
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"Airflow does not answer at {self.uri}: {error}. Run `make status`."
            ) from error

    def _log_in(self) -> None:
        name, password = admin_login(self._home)
        try:
            answer = self._http.post("/auth/token", json={"username": name, "password": password})
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"Airflow does not answer at {self.uri}: {error}. Run `make status`."
            ) from error
        if answer.is_error:
            raise ServiceUnavailable(f"Airflow refused the login of {name}: {answer.text[:200]}")
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _lines(entry: str | dict[str, Any]) -> Iterator[str]:
    """Show one entry of a log as people read it, with its exception if it has one."""
    if isinstance(entry, str):
        yield entry
        return
    yield " ".join(str(entry[key]) for key in ("timestamp", "level", "event") if entry.get(key))
    for error in entry.get("error_detail") or []:
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"
