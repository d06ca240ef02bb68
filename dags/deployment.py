"""
### Deployment

Bring a certified candidate to its callers: staging, shadow, approval, canary steps, promotion.
Whatever happens on the way, `restore` runs at the end: unless the candidate was promoted, the champion has
all traffic again and the candidate is retired. To abort a rollout, mark the run as failed.

**If it is red:**

- `begin`: the certificate does not fit the model, or another rollout is under way.
- `stage`: the candidate cannot be loaded or answers wrongly; callers never saw it.
- `shadow`, `canary_…`: it did worse than the champion, or there was too little traffic to tell.
  The message has the figures; callers are with the champion again. Nothing is to be repaired in a hurry.
- `approve`: a person said no, or the requester tried to approve.
- `promote`: the switch is recorded; see whether the controller runs, then clear the task.
- `restore`: the champion may not have all traffic. **Clear it at once**, and see whether PostgreSQL answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, chain, dag

from airworthy import assets
from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, with_params
from airworthy.operators.approval import ReleaseApprovalOperator
from airworthy.operators.promotion import PromoteModelOperator
from airworthy.operators.rollout import BeginRolloutOperator, RestoreChampionOperator
from airworthy.operators.staging import StageModelOperator
from airworthy.operators.traffic import ShiftTrafficOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def deployment_dag(use_case: UseCase) -> DAG:
    """Build the deployment DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_deployment",
        schedule=frozenset({assets.candidate(use_case.name)}),  # a list is hashed anew for every edge
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(use_case.owner),
        tags=["deployment", use_case.name],
        description=f"Stage, shadow and canary a candidate of {use_case.name}, then promote it or go back.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def deployment() -> None:
        begin = BeginRolloutOperator(task_id="begin", use_case=use_case.name)
        begin.is_setup = True
        on: dict[str, Any] = {"use_case": use_case.name, "hold": begin.output}
        stage = StageModelOperator(task_id="stage", **on)
        shadow = ShiftTrafficOperator(task_id="shadow", shadow_share=use_case.rollout.shadow_share, **on)
        approve = ReleaseApprovalOperator(task_id="approve", **on)
        canary = [
            ShiftTrafficOperator(task_id=f"canary_{percent}", percent=percent, **on)
            for percent in use_case.rollout.steps
        ]
        promote = PromoteModelOperator(task_id="promote", **on)
        restore = RestoreChampionOperator(task_id="restore", **on)
        chain(begin, stage, shadow, approve, *canary, promote, restore.as_teardown(setups=begin))

    version = Param(None, type=["null", "integer"], minimum=1, description="Version to deploy")
    return with_params(deployment(), {"version": version})


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_deployment"):
        globals()[f"{use_case.name}_deployment"] = deployment_dag(use_case)
