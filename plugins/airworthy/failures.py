"""What happens when a task fails for good, or a run takes too long: it is recorded, and people are told."""

from __future__ import annotations

import asyncio
import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseHook, conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.log import redact  # type: ignore[attr-defined]

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook, url_of
from airworthy.links import page_url
from include.catalog import catalog
from include.errors import AirworthyError, AttentionNeeded, PartitionMissing, runbook_of

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy import URL, Engine

    from airflow.sdk import Context

    from include.monitoring.alerting.failures import RunFailure

ACTOR = "airflow"
OVER = frozenset({"success", "skipped"})
FINAL = frozenset({"success", "failed"})
# Of the end of a traceback.
MAX_REASON_LENGTH = 1_500
MAX_LINES = 8


def name_runbook(context: Context) -> None:
    """Log which page says what to do about the failure of a task, as a path and as an address in Airflow."""
    page = _runbook(context)
    if page:
        context["ti"].task.log.info("What to do: %s, %s", page, page_url(page))


def _runbook(context: Context) -> str:
    error = context.get("exception")
    named = runbook_of(error if isinstance(error, BaseException) else None)
    return str(named or getattr(context["ti"].task, "runbook", ""))


def record_failed_task(context: Context) -> None:
    """
    Write into the ledger that a task failed after its last retry; the DAG `alerts` tells people.

    What monitoring wants a person to do is an incident already, and not a failure of its task.
    """
    error = context.get("exception")
    if isinstance(error, AttentionNeeded):
        return
    task = context["ti"].task
    try:
        _write_failure(AirworthyDatabaseHook().engine, _failed_task(context))
    except Exception as problem:  # noqa: BLE001  the failure itself must stay what the log ends with
        task.log.warning("This failure was not recorded, and nobody is told: %s", problem)


def _write_failure(engine: Engine, failure: RunFailure) -> None:
    from include.monitoring.alerting.failures import record_failure

    with engine.begin() as connection:
        record_failure(connection, failure, actor=ACTOR)


def _failed_task(context: Context) -> RunFailure:
    from include.monitoring.alerting.failures import RunFailure

    ti = context["ti"]
    run = context["dag_run"]
    error = context.get("exception")
    declared = str(getattr(ti.task, "use_case", ""))
    failure = RunFailure(
        name=declared if declared in catalog().use_cases else subject_of(run.dag_id),
        kind="late_data" if isinstance(error, PartitionMissing) else "failed",
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        reason=describe_end(error),
        runbook=_runbook(context),
        link=getattr(ti, "log_url", ""),
    )
    return replace(failure, successes=count_successes(failure, ti))


def describe_end(error: object) -> str:
    """Return the last lines of an exception, without secrets; of an error of this project its message."""
    if isinstance(error, AirworthyError):
        text = str(error)
    elif isinstance(error, BaseException):
        lines = "".join(traceback.format_exception(error)).strip().splitlines()
        text = "\n".join(lines[-MAX_LINES:])
    else:
        text = str(error or "the task was killed, or did not respond: its log may say why")
    return str(redact(text))[-MAX_REASON_LENGTH:]


def subject_of(dag_id: str) -> str:
    """Return the use case, dataset or feature view of a DAG, or `platform`."""
    from include.monitoring.alerting.failures import PLATFORM

    name = dag_id.rpartition("_")[0]
    declared = catalog()
    kinds = (declared.use_cases, declared.datasets, declared.feature_views)
    return name if any(name in kind for kind in kinds) else PLATFORM


def count_successes(failure: RunFailure, ti: Any) -> int:
    """Return in how many runs the task has succeeded."""
    index = {"map_index": failure.map_index} if failure.map_index >= 0 else {}
    count: int = ti.get_ti_count(
        dag_id=failure.dag_id, task_ids=[failure.task_id], states=["success"], **index
    )
    return count


def is_over(failure: RunFailure, ti: Any) -> bool:
    """
    Return whether a failed task succeeded since, in its run or in a later one, or a long run has ended.

    What is unknown to Airflow, since it was deleted, is over.

    :param ti: the task instance that asks
    """
    if failure.kind == "long_run":
        try:
            return ti.get_dagrun_state(failure.dag_id, failure.run_id) in FINAL
        except AirflowRuntimeError:
            return True
    tasks = ti.get_task_states(
        dag_id=failure.dag_id, task_ids=[failure.task_id], run_ids=[failure.run_id]
    ).get(failure.run_id, {})
    suffix = f"_{failure.map_index}" if failure.map_index >= 0 else ""
    if not tasks or tasks.get(f"{failure.task_id}{suffix}") in OVER:
        return True
    return failure.successes is not None and count_successes(failure, ti) > failure.successes


class RunCreation(BaseDeadlineReference):
    """
    The moment at which a run is created and queued.

    With Airflow's own `DAGRUN_QUEUED_AT`, Airflow 3.3 answers 500 when a task of the run is cleared
    (apache/airflow, issue 70368).
    """

    def _evaluate_with(self, **_: Any) -> datetime:
        return datetime.now(UTC)


def alert_after(limit: timedelta) -> DeadlineAlert:
    """Return an alarm for runs of a DAG that have not ended this long after they were created."""
    return DeadlineAlert(reference=RunCreation(), interval=limit, callback=AsyncCallback(record_long_run))


async def record_long_run(context: dict[str, Any]) -> None:
    """Write into the ledger that a run has not ended by its deadline; Airflow's triggerer calls this."""
    run = context["dag_run"]
    # The runs of a backfill wait for each other, and Airflow retains the deadlines of runs that failed.
    if run["run_type"] == "backfill" or run["state"] in FINAL:
        return
    connection = await BaseHook.aget_connection(AirworthyDatabaseHook.default_conn_name)
    # Imports and database would block the triggers of all waiting tasks.
    await asyncio.to_thread(_write_long_run, url_of(connection), context)


def _write_long_run(url: URL, context: dict[str, Any]) -> None:
    from include.database.tables import connect

    engine = connect(url)
    try:
        _write_failure(engine, _long_run(context["dag_run"], context["deadline"]["deadline_time"]))
    finally:
        engine.dispose()


def _long_run(run: dict[str, Any], deadline: object) -> RunFailure:
    from include.monitoring.alerting.failures import RunFailure

    dag_id = run["dag_id"]
    run_id = run["dag_run_id"]
    base_url = conf.get("api", "base_url", fallback="").rstrip("/")
    return RunFailure(
        name=subject_of(dag_id),
        kind="long_run",
        dag_id=dag_id,
        run_id=run_id,
        reason=f"run {run_id}, queued at {run['queued_at']}, has not ended by its deadline, {deadline}",
        link=f"{base_url}/dags/{dag_id}/runs/{quote(run_id)}",
    )
