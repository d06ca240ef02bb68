"""What every DAG and task of the project shares."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pendulum import datetime

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, conf, get_parsing_context

from include.errors import AirworthyError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import DAG

    from include.partitions import Granularity

START = datetime(2013, 1, 1)

# Airflow's own defaults, looked up once: Airflow looks each of them up anew for every DAG.
DAG_DEFAULTS: dict[str, Any] = {
    "max_active_tasks": conf.getint("core", "max_active_tasks_per_dag"),
    "max_consecutive_failed_dag_runs": conf.getint("core", "max_consecutive_failed_dag_runs_per_dag"),
    "disable_bundle_versioning": conf.getboolean("dag_processor", "disable_bundle_versioning"),
}

# A decision stays the same however often it is retried; an accident may not.
RETRY_ACCIDENTS_ONLY = ExceptionRetryPolicy(
    [
        RetryRule(ServiceUnavailable, RetryAction.RETRY, reason="an accident"),
        RetryRule(AirworthyError, RetryAction.FAIL, reason="a decision"),
    ]
)


def default_args(owner: str) -> dict[str, Any]:
    """Return the `default_args` of a DAG owned by `owner`."""
    return {
        "owner": owner,
        "retries": 3,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": RETRY_ACCIDENTS_ONLY,
    }


def with_params(dag: DAG, params: Mapping[str, Param]) -> DAG:
    """
    Return the DAG with its parameters, declared once its tasks are there.

    A run's parameters are the DAG's. Declared before, Airflow copies them into every task and, for a DAG with
    a schedule, checks the schema of each against JSON Schema's own: half of what parsing the DAG takes.
    """
    dag.params.update(params)
    return dag


def is_needed(dag_id: str) -> bool:
    """Return whether this process needs the DAG: a worker asks for one, and need not build the others."""
    return get_parsing_context().dag_id in (None, dag_id)


def day_range(granularity: Granularity = "day") -> dict[str, Param]:
    """Return the parameters of a DAG that can run over a range of days, or hours."""
    hour = {"pattern": r"^\d{4}-\d\d-\d\d(T\d\d)?$", "examples": ["2013-07-01T05"]}
    form: Any = {"type": ["null", "string"], **({"format": "date"} if granularity == "day" else hour)}
    return {
        "first": Param(None, description=f"First {granularity} of a bulk run", **form),
        "last": Param(
            None, description=f"Last {granularity} of a bulk run; the first alone if empty", **form
        ),
    }
