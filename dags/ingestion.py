"""
### Ingestion

Read one partition of a dataset, a day or an hour, from its source, check it in the quality gate, and publish
it to the lake. A partition is replaced in one commit, so a repeated run or a backfill leaves one copy.
For a long range of the past, trigger one bulk run with `first` and `last`.

**If a task fails (red):**

- `wait`: the partition did not land in time, or its source does not answer; the message has the location.
  Ask the sender; clear the task when the partition is there.
- `extract`: the partition cannot be read; the message has the location and the reason. Have it sent again,
  and clear the task.
- `validate`: the data is not as declared, and nothing was published. The link *Data docs* shows the failed
  checks, the table `<dataset>_quarantine` has the rejected rows. Have the file corrected, clear `extract`.
- `publish`: the store is away or full. Airflow retries the task; clear it when the cause is removed.

Runbooks: [data refused](airworthy/docs/runbooks/ingestion-refused.md),
[late data](airworthy/docs/runbooks/late-data.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TriggerRule, XComArg, dag

from airworthy.defaults import MAXIMUM_INGESTION, day_range, default_args, is_needed, with_params
from airworthy.failures import alert_after
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.ingestion import (
    AdvanceWatermarkOperator,
    ExtractPartitionOperator,
    PlanLateRunsOperator,
)
from airworthy.operators.publication import PublishDatasetOperator
from airworthy.operators.trigger_run import TriggerRunOperator
from airworthy.sensors.landing import PartitionLandedSensor
from airworthy.timetables import LandingTimetable, first_ingestion_date, last_ingestion_date
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import Dataset

LATE_CHANGES = """
- `take_again`: the runs `late__…` that ingest changed partitions again could not be started. Clear it. A red
  run `late__…` has its own message; the published partition stays as it was.
- `advance`: Airflow's database is away. Clear it; until then the next run ingests the same changes again.
"""


def ingestion_dag(dataset: Dataset) -> DAG:
    """Build the ingestion DAG of one dataset."""
    dag_id = f"{dataset.name}_ingestion"

    @dag(
        dag_id=dag_id,
        schedule=LandingTimetable(dataset.availability),
        start_date=first_ingestion_date(dataset),
        end_date=last_ingestion_date(dataset),
        catchup=False,
        max_active_runs=4,
        default_args=default_args(dataset.owner),
        deadline=alert_after(MAXIMUM_INGESTION + dataset.landing_timeout),
        tags=["ingestion", dataset.name],
        description=dataset.description,
        doc_md=f"{__doc__}{LATE_CHANGES if dataset.watermark else ''}",
    )
    def ingestion() -> None:
        wait = PartitionLandedSensor(
            task_id="wait", dataset=dataset.name, landing_timeout=dataset.landing_timeout
        )
        extract = ExtractPartitionOperator(task_id="extract", dataset=dataset.name)
        validate = DataValidationOperator(task_id="validate", subject=dataset.name, frame=extract.output)
        publish = PublishDatasetOperator(task_id="publish", dataset=dataset.name, frame=validate.output)
        wait >> extract >> validate >> publish
        if dataset.watermark:
            plan = PlanLateRunsOperator(task_id="plan", changes=XComArg(extract, "changes"))
            take_again = TriggerRunOperator.partial(
                task_id="take_again", trigger_dag_id=dag_id, logical_date=None,
                skip_when_already_exists=True, map_index_template="{{ task.trigger_run_id }}",
            ).expand_kwargs(plan.output)  # fmt: skip
            advance = AdvanceWatermarkOperator(
                task_id="advance",
                dataset=dataset.name,
                changes=XComArg(extract, "changes"),
                # Without late partitions, `take_again` is skipped.
                trigger_rule=TriggerRule.NONE_FAILED,
            )
            publish >> plan >> take_again >> advance

    return with_params(ingestion(), day_range(dataset.granularity))


for dataset in catalog().datasets.values():
    if is_needed(f"{dataset.name}_ingestion"):
        globals()[f"{dataset.name}_ingestion"] = ingestion_dag(dataset)
