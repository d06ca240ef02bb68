"""
### Features

Compute a feature view for each day or hour whose inputs are all published, from data known at prediction
time. When an input is published again, the view's partition is computed again, once, and so are the views
that read it. Partitions can be backfilled.

**If a task fails (red):**

- `build`: a day of a dataset or a reference table is missing (ingest it first), or a value was used before it
  was known (a fault in the feature view's `build()`; the message names the rows).
- `check_leakage`: a feature changes when it is built only from data known in time. The message names the
  feature, its source, a row and the times. Correct `build()`. Nothing was published.
- `validate`: the features break the declaration; the link *Data docs* shows where. Nothing was published.
- `publish`: the lake's storage does not answer or is full. Clear the task when that is solved.
- `materialise`: the features are published, but requests that hold only a key get older features. Clear the
  task, or trigger `<feature_view>_materialisation`.

Runbook: [data refused](airworthy/docs/runbooks/ingestion-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import XComArg, dag

from airworthy import assets
from airworthy.defaults import MAXIMUM_RUN, START, day_range, default_args, is_needed, with_params
from airworthy.failures import alert_after
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.features import (
    BuildFeaturesOperator,
    CheckLeakageOperator,
    MaterialiseFeaturesOperator,
)
from airworthy.operators.publication import PublishSourceOperator
from airworthy.timetables import published_timetable
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import FeatureView


def features_dag(view: FeatureView) -> DAG:
    """Build the DAG of one feature view."""

    @dag(
        dag_id=f"{view.name}_features",
        schedule=published_timetable(view, assets.inputs_asset(view.name)),
        start_date=START,
        catchup=False,
        max_active_runs=4,
        default_args=default_args(view.owner),
        deadline=alert_after(MAXIMUM_RUN),
        tags=["features", view.name],
        description=view.description,
        doc_md=__doc__,
    )
    def features() -> None:
        build = BuildFeaturesOperator(task_id="build", feature_view=view.name)
        references = XComArg(build, "references")
        check = CheckLeakageOperator(
            task_id="check_leakage", feature_view=view.name, frame=build.output, references=references
        )
        validate = DataValidationOperator(task_id="validate", subject=view.name, frame=build.output)
        publish = PublishSourceOperator(
            task_id="publish",
            table=view.name,
            frame=validate.output,
            code=XComArg(build, "code"),
            references=references,
            outlets=[assets.feature_view(view.name)],
        )
        build >> [validate, check] >> publish
        if view.online:
            publish >> MaterialiseFeaturesOperator(task_id="materialise", feature_view=view.name)

    return with_params(features(), day_range(view.granularity))


for view in catalog().feature_views.values():
    if is_needed(f"{view.name}_features"):
        globals()[f"{view.name}_features"] = features_dag(view)
