"""
### Materialisation

Write the newest days of a feature view to the online store again, for requests that hold only a key.
Each run of `<feature_view>_features` does this for its own days; use this DAG after the database lost them.
`first` and `last` choose some of the days.

**If a task fails (red):**

- `materialise`: the database or the lake's storage does not answer. Clear the task when that is solved. Newer
  values are never replaced by older ones.

Runbook: [database away](airworthy/docs/runbooks/database-away.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import dag

from airworthy.defaults import START, day_range, default_args, is_needed, with_params
from airworthy.operators.features import MaterialiseFeaturesOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import FeatureView


def materialisation_dag(view: FeatureView) -> DAG:
    """Build the DAG of one feature view."""

    @dag(
        dag_id=f"{view.name}_materialisation",
        schedule=None,
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(view.owner),
        tags=["materialisation", view.name],
        description=f"Write the newest days of {view.name} to the online store.",
        doc_md=__doc__,
    )
    def materialisation() -> None:
        MaterialiseFeaturesOperator(task_id="materialise", feature_view=view.name)

    return with_params(materialisation(), day_range(view.granularity, "to write"))


for view in catalog().feature_views.values():
    if view.online and is_needed(f"{view.name}_materialisation"):
        globals()[f"{view.name}_materialisation"] = materialisation_dag(view)
