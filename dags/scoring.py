"""
### Batch scoring

Score every partition of features with the champion, or with the version that the parameter `version` names,
loaded like by its model server. Rows are streamed, so that a partition may be larger than the memory. A
partition is replaced in one commit: a run may be repeated, and the same version gives the same rows. Each
row names the version that scored it.

**If a task fails (red):**

- `score`: the version could not be loaded (if its certificate is invalid, **inform the platform's
  owner**), or predictions of some rows are invalid; the message names the first row. Nothing was published.
- `check`: the staged predictions are not complete, or not those of the version; the message names columns and
  numbers of rows. Nothing was published.
- `publish`: the store does not respond, or is full; clear the task when the cause is fixed.

Runbook: [certificate refused](airworthy/docs/runbooks/certificate-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import XComArg, dag

from airworthy import assets
from airworthy.defaults import (
    DAG_DEFAULTS,
    START,
    day_range,
    default_args,
    is_needed,
    version_param,
    with_params,
)
from airworthy.failures import alert_after
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.operators.scoring import BatchScoringOperator, CheckPredictionsOperator
from airworthy.placement import placement
from airworthy.timetables import published_timetable
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def scoring_dag(use_case: UseCase) -> DAG:
    """Build the batch scoring DAG of one use case."""
    view = catalog().feature_views[use_case.feature_view]

    @dag(
        dag_id=f"{use_case.name}_scoring",
        schedule=published_timetable(view, assets.feature_view(view.name)),
        start_date=START,
        catchup=False,
        max_active_runs=2,
        default_args=default_args(use_case.owner),
        deadline=alert_after(use_case.schedules.maximum_run),
        tags=["scoring", use_case.name],
        description=f"Predictions of {use_case.name} for every partition of its features.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def scoring() -> None:
        placed = placement(use_case.resources)
        score = BatchScoringOperator(task_id="score", use_case=use_case.name, **placed)
        check = CheckPredictionsOperator(
            task_id="check",
            use_case=use_case.name,
            frame=score.output,
            expected=XComArg(score, "expected"),
        )
        publish = PublishPartitionOperator(
            task_id="publish",
            table=f"{use_case.name}_predictions",
            frame=check.output,
            partitions_of=view.name,
            outlets=[assets.predictions(use_case.name)],
        )
        score >> check >> publish

    version = version_param(use_case.name, "Version that scores; the champion if empty")
    return with_params(scoring(), {**day_range(view.granularity), "version": version})


for use_case in catalog().use_cases.values():
    # Rows of a label's dataset are known only with their labels: nothing is left to predict.
    if use_case.label.time is None and is_needed(f"{use_case.name}_scoring"):
        globals()[f"{use_case.name}_scoring"] = scoring_dag(use_case)
