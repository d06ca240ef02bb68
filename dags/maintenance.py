"""
### Maintenance

Once a day: compact the tables, delete files that no retained version needs, and delete staged frames of old
runs. Versions that a certificate names stay readable. `profile` writes the profile page of each dataset and
feature view, from a bounded sample. `repair_aliases` sets MLflow's aliases to the desired state, in case
MLflow was away when a release ended. `retire_logs` exports days of the inference log and the access log that
are past their retention to the lake, counts them by hour, and deletes them.

**If a task fails (red):** the log of `compact` has the reason for each table. No data is lost; tables only
grow. `retire_logs` deletes nothing that the lake does not have; clear it once lake and database answer.

Runbook: [database away](airworthy/docs/runbooks/database-away.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag

from airworthy.defaults import MAXIMUM_RUN, START, default_args, is_needed
from airworthy.failures import alert_after
from airworthy.operators.aliases import RepairAliasesOperator
from airworthy.operators.maintenance import (
    CompactTableOperator,
    ProfileTableOperator,
    RetireLogsOperator,
    SweepStagingOperator,
)
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

# Name of a mapped task in the UI.
TABLE = "{{ task.table }}"


def maintenance_dag() -> DAG:
    """Build the maintenance DAG."""
    declared = catalog()
    tables = [*declared.datasets, *declared.feature_views]
    tables += [f"{name}_quarantine" for name in declared.datasets]
    tables += [f"{name}_predictions" for name in declared.use_case_names]
    tables += [*(f"{name}_requests" for name in declared.use_case_names), "airworthy_access_log"]

    @dag(
        dag_id="maintenance",
        schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("platform"),
        deadline=alert_after(MAXIMUM_RUN),
        tags=["maintenance"],
        description="Compact tables and delete files that are no longer needed.",
        doc_md=__doc__,
    )
    def maintenance() -> None:
        CompactTableOperator.partial(task_id="compact", map_index_template=TABLE).expand(table=tables)
        SweepStagingOperator(task_id="sweep")
        RepairAliasesOperator(task_id="repair_aliases")
        RetireLogsOperator(task_id="retire_logs")
        profiled = [*declared.datasets, *declared.feature_views]
        ProfileTableOperator.partial(
            task_id="profile", map_index_template=TABLE, max_active_tis_per_dag=1
        ).expand(table=profiled)

    return maintenance()


if is_needed("maintenance"):
    maintenance = maintenance_dag()
