"""
### Ingestion

Take one partition of a dataset, a day or an hour, from where it comes, let it through its quality gate, and
publish it to the lake.

A partition is replaced in one commit: running it again, or backfilling it, leaves exactly one copy.
For a long stretch of history trigger one bulk run with `first` and `last`.

**If it is red:**

- `wait`: the partition was not there in time, or its source cannot be reached; the message names the place.
  Ask who sends it; clear the task when it is there.
- `extract`: it cannot be read; the message names the place and what is wrong with it. Have it sent again, and
  clear the task.
- `validate`: the data is not what was declared, and nothing was published. The link *Data docs* shows what
  failed, the table `<dataset>_quarantine` holds the refused rows. Have the file corrected, clear `extract`.
- `publish`: the store is away or full. It is tried again by itself; clear it when the cause is gone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import CronPartitionTimetable, TriggerRule, XComArg, dag

from airworthy.defaults import START, day_range, default_args, is_needed, with_params
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.ingestion import (
    AdvanceWatermarkOperator,
    ExtractPartitionOperator,
    PlanLateRunsOperator,
)
from airworthy.operators.publication import PublishDatasetOperator
from airworthy.sensors.landing import PartitionLandedSensor
from include.catalog import catalog
from include.partitions import FORMAT, HOUR_FORMAT, STEP, end_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import Dataset

LATE_CHANGES = """
- `take_again`: the runs `late__…` that take changed partitions again could not be started. Clear it. One of
  these runs that is red itself says why; its partition is still there as it was.
- `advance`: Airflow's database is away. Clear it: until then changes are only taken once more.
"""


def ingestion_dag(dataset: Dataset) -> DAG:
    """Build the ingestion DAG of one dataset."""
    dag_id, last = f"{dataset.name}_ingestion", dataset.last_partition
    cron, name, steps = {"day": ("0 0 * * *", FORMAT, 1), "hour": ("0 * * * *", HOUR_FORMAT, 24)}[
        dataset.granularity
    ]

    @dag(
        dag_id=dag_id,
        schedule=CronPartitionTimetable(
            cron, timezone="UTC", run_offset=-steps * dataset.lag_days, key_format=name
        ),
        start_date=START,
        end_date=end_of(last) - STEP[dataset.granularity] + timedelta(days=dataset.lag_days)
        if last
        else None,
        catchup=False,
        max_active_runs=4,
        default_args=default_args(dataset.owner),
        tags=["ingestion", dataset.name],
        description=dataset.description,
        doc_md=f"{__doc__}{LATE_CHANGES if dataset.watermark else ''}",
    )
    def ingestion() -> None:
        wait = PartitionLandedSensor(task_id="wait", dataset=dataset.name, patience=dataset.landing_timeout)
        extract = ExtractPartitionOperator(task_id="extract", dataset=dataset.name)
        validate = DataValidationOperator(task_id="validate", subject=dataset.name, frame=extract.output)
        publish = PublishDatasetOperator(task_id="publish", dataset=dataset.name, frame=validate.output)
        wait >> extract >> validate >> publish
        if dataset.watermark:
            plan = PlanLateRunsOperator(task_id="plan", changes=XComArg(extract, "changes"))
            take_again = TriggerDagRunOperator.partial(
                task_id="take_again", trigger_dag_id=dag_id, logical_date=None, skip_when_already_exists=True
            ).expand_kwargs(plan.output)
            advance = AdvanceWatermarkOperator(
                task_id="advance",
                dataset=dataset.name,
                changes=XComArg(extract, "changes"),
                trigger_rule=TriggerRule.NONE_FAILED,  # nothing late is nothing to take again
            )
            publish >> plan >> take_again >> advance

    return with_params(ingestion(), day_range(dataset.granularity))


for dataset in catalog().datasets.values():
    if is_needed(f"{dataset.name}_ingestion"):
        globals()[f"{dataset.name}_ingestion"] = ingestion_dag(dataset)
