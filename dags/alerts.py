"""
### Alerts

Every ten minutes: tell people about incidents that began or are over, through the channels of their use case,
or those of the setting `AIRWORTHY_ALERT_CHANNELS`. Each is told once, and what was told is in the ledger.
Incidents are decisions of monitoring that need a person, alarms of the service level, frozen releases,
monitoring that has stopped, tasks of any DAG that failed, data that is late, and runs that take too long.

**If a task fails (red):** a channel did not take a message; the log says which, and why. The next run tries
this channel again, and no other. Check the Airflow connection.

Runbook: [drift alarm](airworthy/docs/runbooks/drift-alarm.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag

from airworthy.defaults import START, default_args, is_needed
from airworthy.operators.alerts import SendAlertsOperator
from include.catalog import catalog
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import DAG


def alerts_dag() -> DAG:
    """Build the DAG that tells people; it has no schedule as long as no channel is declared."""
    has_channels = any(use_case.alerts.channels for use_case in catalog().use_cases.values())
    has_channels = has_channels or bool(settings().alert_channels)

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
