"""
### Service levels

Every hour: compare what callers of each use case got from the gateway with its service level objective, by
the access log. `check` measures the last hour and makes one decision for each use case: roll back, freeze or
thaw releases, alert, or nothing. `act` carries each of them out.

**If a task fails (red):**

- `check`: the access log is not complete, because its collector does not run, or PostgreSQL did not answer.
  Clear the task when they do.
- `act`: **a person has to act.** The message says for which use case, and why. Clear nothing: an alarm is
  told once, when it begins.

Runbooks: [releases frozen](airworthy/docs/runbooks/releases-frozen.md),
[gateway away](airworthy/docs/runbooks/gateway-away.md).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag

from airworthy.defaults import START, default_args, is_needed
from airworthy.failures import alert_after
from airworthy.operators.governor import ActOperator, ServiceCheckOperator

if TYPE_CHECKING:
    from airflow.sdk import DAG


def service_levels_dag() -> DAG:
    """Build the DAG that checks the service levels of all use cases."""

    @dag(
        dag_id="service_levels",
        # Some minutes later the log is complete.
        schedule=CronTriggerTimetable("3 * * * *", timezone="UTC", interval=timedelta(hours=1)),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("platform"),
        deadline=alert_after(timedelta(hours=1)),
        tags=["monitoring"],
        description="Check what callers got in the last hour, and roll back, freeze or alert.",
        doc_md=__doc__,
    )
    def service_levels() -> None:
        check = ServiceCheckOperator(task_id="check")
        ActOperator.partial(task_id="act", map_index_template="{{ task.use_case }}").expand_kwargs(
            check.output
        )

    return service_levels()


if is_needed("service_levels"):
    service_levels = service_levels_dag()
