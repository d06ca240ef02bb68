"""What every DAG and task of the project shares."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pendulum import datetime

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule, get_parsing_context

from include.errors import AirworthyError, ServiceUnavailable

if TYPE_CHECKING:
    from include.partitions import Every

START = datetime(2013, 1, 1)

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


def wanted(dag_id: str) -> bool:
    """Return whether this process needs the DAG: a worker asks for one, and need not build the others."""
    return get_parsing_context().dag_id in (None, dag_id)


def day_range(every: Every = "day") -> dict[str, Param]:
    """Return the parameters of a DAG that can run over a range of days, or hours."""
    hour = {"pattern": r"^\d{4}-\d\d-\d\d(T\d\d)?$", "examples": ["2013-07-01T05"]}
    form: Any = {"type": ["null", "string"], **({"format": "date"} if every == "day" else hour)}
    return {
        "first": Param(None, description=f"First {every} of a bulk run", **form),
        "last": Param(None, description=f"Last {every} of a bulk run; the first alone if empty", **form),
    }
