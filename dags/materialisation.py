"""
### Materialisation

Bring the newest days of a feature view online again, so that callers may send only an entity's key. Every
run of `<feature_view>_features` does so for its own days; this is for a database that lost them. `first` and
`last` choose some of the days.

**If it is red:**

- `materialise`: the database or the lake is away; clear it when the cause is gone. Nothing newer was lost.
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
        description=f"Bring the newest days of {view.name} online.",
        doc_md=__doc__,
    )
    def materialisation() -> None:
        MaterialiseFeaturesOperator(task_id="materialise", feature_view=view.name)

    return with_params(materialisation(), day_range())


for view in catalog().feature_views.values():
    if view.online and is_needed(f"{view.name}_materialisation"):
        globals()[f"{view.name}_materialisation"] = materialisation_dag(view)
