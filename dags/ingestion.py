"""
### Ingestion

Take one day of a dataset from where it lands, let it through its quality gate, and publish it to the lake.

A day is replaced in one commit: running it again, or backfilling it, leaves exactly one copy.
For a long stretch of history trigger one bulk run with `first` and `last`.

**If it is red:**

- `wait`: the file did not land in time. Ask who sends it; clear the task when it is there.
- `extract`: the file cannot be read; the message names the file, the column and the row.
- `validate`: the data is not what was declared, and nothing was published. The link *Data docs* shows what
  failed, the table `<dataset>_quarantine` holds the refused rows. Have the file corrected, clear `extract`.
- `publish`: the store is away or full. It is tried again by itself; clear it when the cause is gone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import CronPartitionTimetable, dag

from airworthy.defaults import START, day_range, default_args, wanted
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.ingestion import ExtractPartitionOperator
from airworthy.operators.publication import PublishDatasetOperator
from airworthy.sensors.landing import PartitionLandedSensor
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import Dataset


def ingestion_dag(dataset: Dataset) -> DAG:
    """Build the ingestion DAG of one dataset."""
    ended = dataset.last_partition

    @dag(
        dag_id=f"{dataset.name}_ingestion",
        schedule=CronPartitionTimetable(
            "0 0 * * *", timezone="UTC", run_offset=-dataset.lag_days, key_format="%Y-%m-%d"
        ),
        start_date=START,
        end_date=START.set(*ended.timetuple()[:3]) + timedelta(days=dataset.lag_days) if ended else None,
        catchup=False,
        max_active_runs=4,
        params=day_range(),
        default_args=default_args(dataset.owner),
        tags=["ingestion", dataset.name],
        description=dataset.description,
        doc_md=__doc__,
    )
    def ingestion() -> None:
        wait = PartitionLandedSensor(task_id="wait", dataset=dataset.name, patience=dataset.landing_timeout)
        extract = ExtractPartitionOperator(task_id="extract", dataset=dataset.name)
        validate = DataValidationOperator(task_id="validate", subject=dataset.name, frame=extract.output)
        publish = PublishDatasetOperator(task_id="publish", dataset=dataset.name, frame=validate.output)
        wait >> extract >> validate >> publish

    return ingestion()


for dataset in catalog().datasets.values():
    if wanted(f"{dataset.name}_ingestion"):
        globals()[f"{dataset.name}_ingestion"] = ingestion_dag(dataset)
