"""
### Maintenance

Once a day: compact every table, delete files that no kept version needs, and sweep away what runs left on
their way. Versions that a certificate names stay readable.

**If it is red:** `compact` shows for each table what was wrong; nothing is lost, the tables only grow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, dag

from airworthy.defaults import START, default_args, is_needed
from airworthy.operators.maintenance import CompactTableOperator, SweepStagingOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG


def maintenance_dag() -> DAG:
    """Build the one maintenance DAG."""
    found = catalog()
    tables = [*found.datasets, *(f"{name}_quarantine" for name in found.datasets), *found.feature_views]
    tables += [f"{name}_predictions" for name in found.use_cases]

    @dag(
        dag_id="maintenance",
        schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args("platform"),
        tags=["maintenance"],
        description="Keep the lake small and tidy.",
        doc_md=__doc__,
    )
    def maintenance() -> None:
        CompactTableOperator.partial(task_id="compact").expand(table=tables)
        SweepStagingOperator(task_id="sweep")

    return maintenance()


if is_needed("maintenance"):
    maintenance = maintenance_dag()
