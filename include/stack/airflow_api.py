"""
A client of Airflow's REST API for the demo, the command line, the tests and the benchmarks.

It is written by hand since apache-airflow-client takes 1 s of CPU time to import, does not log in again when
a token expires, and returns objects of 200 generated classes instead of the JSON that the callers read.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from include.credentials import admin_login
from include.errors import AirworthyError, ServiceUnavailable
from include.stack.polling import wait_for_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from include.settings import Settings

FINAL_STATES = ("success", "failed")
POLL_INTERVAL_S = 0.3
REQUEST_TIMEOUT_S = 30
MAX_READ_ATTEMPTS = 4
PAGE_SIZE = 100
ERROR_WORDS = re.compile("Error|Failed|Invalid")


class RunFailed(AirworthyError):
    """A DAG run failed."""


class AirflowApi:
    """A client of the stack's api-server, which logs in with the first request."""

    def __init__(self, settings: Settings) -> None:
        self.uri = settings.airflow_uri
        self._public_uri = settings.airflow_public_uri.rstrip("/")
        self._home = settings.root
        self._http = httpx.Client(base_url=self.uri, timeout=REQUEST_TIMEOUT_S, trust_env=False)

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        *,
        partition_key: str | None = None,
        run_id: str | None = None,
    ) -> str:
        """Start a run now and return its id, which names the partitions of a bulk run."""
        body = {
            "logical_date": None,
            "conf": dict(conf or {}),
            "partition_key": partition_key,
            "dag_run_id": run_id or _name_bulk_run(conf or {}),
        }
        return str(self.post(f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def backfill(self, dag_id: str, first: date, last: date, *, reprocess: str = "completed") -> int:
        """Create a backfill of every day from `first` to `last`, both included, and return its id."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": reprocess,
        }
        return int(self.post("/backfills", body)["id"])

    def backfill_done(self, backfill_id: int) -> bool:
        """Return whether every run of a backfill has ended."""
        return self.get(f"/backfills/{backfill_id}")["completed_at"] is not None

    def wait(self, dag_id: str, run_id: str, timeout: float = 600) -> str:
        """
        Wait for a run and return its final state.

        Raises
        ------
        ServiceUnavailable
            If it has not ended after `timeout` seconds.
        """

        def read_final_state() -> str | None:
            state = str(self.run(dag_id, run_id)["state"])
            return state if state in FINAL_STATES else None

        state = wait_for_value(read_final_state, timeout=timeout, interval=POLL_INTERVAL_S)
        if state is None:
            raise ServiceUnavailable(
                f"Run {run_id} of {dag_id} has not ended after {timeout:g} s. See {self.link(dag_id, run_id)}"
            )
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
        """Return the last error in the log of a task's last try, and the page of its run."""
        tries = {task["task_id"]: task["try_number"] for task in self.task_instances(dag_id, run_id)}
        lines = self.log(dag_id, run_id, task_id, try_number=tries[task_id]).splitlines()
        errors = [line for line in lines if ERROR_WORDS.search(line)]
        candidates = errors or lines
        reason = candidates[-1] if candidates else "its log is empty"
        return f"{dag_id}.{task_id} failed: {reason}\n{self.link(dag_id, run_id)}"

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Return one run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str = "~", **filters: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG (`~`: of all), newest first; `filters` are the API's, such as `state`."""
        return self._read_pages(f"/dags/{dag_id}/dagRuns", "dag_runs", {"order_by": "-run_after", **filters})

    def dags(self) -> list[dict[str, Any]]:
        """Return every DAG that Airflow has parsed."""
        return self._read_pages("/dags", "dags", {})

    def import_errors(self) -> list[dict[str, Any]]:
        """Return the DAG files that could not be imported, each with its stack trace."""
        return self._read_pages("/importErrors", "import_errors", {})

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Return the tasks of a run."""
        return self._read_pages(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances", {})

    def log(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1, map_index: int = -1) -> str:
        """Return the log of one try of a task."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self.get(path, map_index=map_index, full_content="true")["content"]
        lines: list[str] = []
        for entry in content:
            lines.extend(_format_log_entry(entry))
        return "\n".join(lines)

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1
    ) -> Any:
        """Return a value that a task pushed; None if it pushed none."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        params = {"map_index": map_index, "deserialize": "true"}
        response = self._send("GET", path, params=params, missing_ok=True)
        return None if response.status_code == httpx.codes.NOT_FOUND else response.json()["value"]

    def questions(self, model: str) -> list[dict[str, Any]]:
        """Return the questions of the DAGs of a model that no person has answered yet, oldest first."""
        params = {
            "response_received": "false",
            "state": ["deferred", "awaiting_input"],
            "order_by": "created_at",
        }
        waiting = self._read_pages("/dags/~/dagRuns/~/hitlDetails", "hitl_details", params)
        dag_ids = {f"{model}_training", f"{model}_deployment"}
        return [question for question in waiting if question["task_instance"]["dag_id"] in dag_ids]

    def answer(self, question: Mapping[str, Any], option: str, reason: str = "") -> None:
        """Choose an option of a question, such as `Approve`; the reason goes into the ledger."""
        task = question["task_instance"]
        path = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
        body = {"chosen_options": [option], "params_input": {"reason": reason}}
        self.patch(f"{path}/{task['map_index']}/hitlDetails", body)

    def link(self, dag_id: str, run_id: str) -> str:
        """Return the address of a run's page in the UI."""
        return f"{self._public_uri}/dags/{dag_id}/runs/{quote(run_id)}"

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """Return the response to a GET of a path below `/api/v2`; lost connections are tried again."""
        return _read_json(self._send("GET", path, params=params))

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to a POST; it is sent once, since a lost response may have had its effect."""
        return _read_json(self._send("POST", path, json=dict(body)))

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the response to a PATCH of a path below `/api/v2`; it is sent once."""
        return _read_json(self._send("PATCH", path, json=dict(body)))

    def _read_pages(self, path: str, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        while True:
            page = self.get(path, **params, limit=PAGE_SIZE, offset=len(entries))
            entries += page[name]
            if not page[name] or len(entries) >= page["total_entries"]:
                return entries

    def _send(self, method: str, path: str, *, missing_ok: bool = False, **request: Any) -> httpx.Response:
        if "Authorization" not in self._http.headers:
            self._log_in()
        response = self._try(method, path, request)
        # Tokens are valid for one day.
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            response = self._try(method, path, request)
        tolerated = missing_ok and response.status_code == httpx.codes.NOT_FOUND
        if response.is_error and not tolerated:
            raise ServiceUnavailable(
                f"Airflow responds {response.status_code} to {method} {path}: {response.text[:500]}"
            )
        return response

    def _try(self, method: str, path: str, request: dict[str, Any]) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(MAX_READ_ATTEMPTS if method == "GET" else 1),
            wait=wait_exponential(0.2),
            retry=retry_if_exception_type(httpx.TransportError),
            reraise=True,
        )
        try:
            return retrying(self._http.request, method, f"/api/v2{path}", **request)
        except httpx.TransportError as error:
            raise self._no_response(error) from error

    def _log_in(self) -> None:
        name, password = admin_login(self._home)
        try:
            response = self._http.post("/auth/token", json={"username": name, "password": password})
        except httpx.TransportError as error:
            raise self._no_response(error) from error
        if response.is_error:
            raise ServiceUnavailable(f"Airflow refused the login of {name}: {response.text[:200]}")
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def _no_response(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(f"Airflow does not answer at {self.uri}: {error}. Run `make status`.")


def _name_bulk_run(conf: Mapping[str, Any]) -> str | None:
    """Return the id of a run over a range of partitions, without the '..' that Airflow refuses, or None."""
    first = conf.get("first")
    if not first:
        return None
    return f"manual__{first}_to_{conf.get('last') or first}__{datetime.now(UTC).isoformat()}"


def _read_json(response: httpx.Response) -> dict[str, Any]:
    body: dict[str, Any] = response.json()
    return body


def _format_log_entry(entry: str | dict[str, Any]) -> Iterator[str]:
    """Return an entry of a log as lines: time, level and event, then the exceptions that it names."""
    if isinstance(entry, str):
        yield entry
        return
    yield " ".join(str(entry[key]) for key in ("timestamp", "level", "event") if entry.get(key))
    for error in entry.get("error_detail") or []:
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"
