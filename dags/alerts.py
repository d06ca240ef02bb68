"""
### Alerts

Every ten minutes: tell people about incidents of models that began or are over, through the channels that
their use cases declare. Each is told once, and what was told is in the ledger. Incidents are decisions of
monitoring that need a person, alarms of the service level, frozen releases, and monitoring that has stopped.

**If a task fails (red):** a channel did not take a message; the log says which, and why. If all channels of
a model failed, the next run tries again. Check the Airflow connection.

Runbook: [drift alarm](airworthy/docs/runbooks/drift-alarm.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag

from airworthy.defaults import START, default_args, is_needed
from airworthy.operators.alerts import SendAlertsOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG


def alerts_dag() -> DAG:
    """Build the DAG that tells people; it has no schedule as long as no use case declares a channel."""
    has_channels = any(use_case.alerts.channels for use_case in catalog().use_cases.values())

    @dag(
        dag_id="alerts",
        schedule=CronTriggerTimetable("*/10 * * * *", timezone="UTC") if has_channels else None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("platform"),
        tags=["monitoring", "alerts"],
        description="Tell people about incidents of models.",
        doc_md=__doc__,
    )
    def alerts() -> None:
        SendAlertsOperator(task_id="send")

    return alerts()


if is_needed("alerts"):
    alerts = alerts_dag()
