"""Defaults of all DAGs and tasks, and parameters that several DAGs have."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pendulum import datetime

from airflow.sdk import (
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    conf,
    get_parsing_context,
)

from airworthy.failures import name_runbook, record_failed_task
from airworthy.task_progress import follow_progress
from include.errors import AirworthyError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import DAG

    from include.partitions import Granularity

START = datetime(2013, 1, 1)
# Of a run, until people are told that it takes too long.
MAXIMUM_RUN = timedelta(hours=12)
# The same, beside the timeout of the landing: an ingestion begins up to a day before its partition is due.
MAXIMUM_INGESTION = MAXIMUM_RUN + timedelta(days=1)

# Airflow reads these options again for each DAG; passing them as arguments saves parsing time.
DAG_DEFAULTS: dict[str, Any] = {
    "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
    "max_consecutive_failed_dag_runs": conf.getint("core", "max_consecutive_failed_dag_runs_per_dag"),
    "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
}

# The result of a check does not change when it is repeated; a service may be available again.
RETRY_UNAVAILABLE_SERVICES = ExceptionRetryPolicy(
    [
        RetryRule(ServiceUnavailable, RetryAction.RETRY, reason="a service is unavailable"),
        RetryRule(AirworthyError, RetryAction.FAIL, reason="a retry would not change the result"),
    ]
)


def default_args(owner: str) -> dict[str, Any]:
    """Return the `default_args` of a DAG with this owner."""
    return {
        "owner": owner,
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": RETRY_UNAVAILABLE_SERVICES,
        "on_execute_callback": [follow_progress],
        "on_failure_callback": [name_runbook, record_failed_task],
    }


def with_params(dag: DAG, params: Mapping[str, Param]) -> DAG:
    """
    Add parameters to a DAG after its tasks were created, and return the DAG.

    Parameters that are passed to the DAG's constructor are copied into each task, and their schemas are
    validated for each DAG with a schedule. That takes half of the DAG's parsing time.
    """
    dag.params.update(params)
    return dag


def is_needed(dag_id: str) -> bool:
    """Return whether to build the DAG: a worker needs only the DAG of its task."""
    return get_parsing_context().dag_id in (None, dag_id)


def day_range(granularity: Granularity = "day", use: str = "of a bulk run") -> dict[str, Param]:
    """Return the parameters `first` and `last` of a DAG that can run over a range of partitions."""
    schema: dict[str, Any] = {"type": ["null", "string"]}
    if granularity == "hour":
        schema |= {"pattern": r"^\d{4}-\d\d-\d\d(T\d\d)?$", "examples": ["2013-07-01T05"]}
    else:
        schema["format"] = "date"
    # Airflow has no choices that are read when a form opens; a list in the DAG would be a new version of it
    # with each release or partition.
    newest = f"[Model data](airworthy/tables) shows the newest {granularity}"
    last = f"Last {granularity} {use}; only the first if empty"
    return {
        "first": Param(None, description_md=f"First {granularity} {use}. {newest}", **schema),
        "last": Param(None, description_md=last, **schema),
    }


def version_param(use_case: str, text: str) -> Param:
    """Return the parameter for a registered version; its text links to the page that offers them."""
    link = f"[The page of {use_case}](airworthy/models/{use_case}) offers the registered ones"
    return Param(None, type=["null", "integer"], minimum=1, description_md=f"{text}. {link}")
