"""
### Deployment

Roll out a certified candidate: staging, shadow, approval, the steps of its strategy, promotion. The task
`restore` always runs at the end: unless the candidate was promoted, it gives all traffic to the champion and
removes the candidate. To abort a rollout, mark the run as failed.

**If a task fails (red):**

- `begin`: the certificate does not match the model, or another rollout is in progress. The message names it.
- `stage`: the candidate's server did not start, its predictions or metrics differ from the evaluation, or it
  does not sustain the declared rate; the message has figure and limit. Callers are not affected.
- `shadow`, `canary_…`, `switch`: the candidate was worse than the champion. The message has the figures. The
  champion has all traffic again, so nothing is urgent. A task that waits for input is undecided: a person
  says under *Required Actions* whether it goes on.
- `approve`: a person rejected the release, or the requester tried to approve it. The ledger has the reason.
- `promote`: the promotion is recorded, but the gateway does not serve it. Check that the controller runs,
  then clear the task.
- `restore`: the champion may not have all traffic. **Clear it at once**, and check that PostgreSQL answers.

Runbooks: [rollout rolled back](airworthy/docs/runbooks/rollout-rolled-back.md),
[releases frozen](airworthy/docs/runbooks/releases-frozen.md),
[certificate refused](airworthy/docs/runbooks/certificate-refused.md),
[gateway away](airworthy/docs/runbooks/gateway-away.md).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import chain, dag

from airworthy import assets
from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, version_param, with_params
from airworthy.operators.approval import ReleaseApprovalOperator
from airworthy.operators.promotion import PromoteModelOperator
from airworthy.operators.rollout import BeginRolloutOperator, RestoreChampionOperator
from airworthy.operators.staging import StageModelOperator
from airworthy.operators.traffic import ShiftTrafficOperator
from include.catalog import catalog
from include.release.strategies import strategy_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def deployment_dag(use_case: UseCase) -> DAG:
    """Build the deployment DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_deployment",
        # Airflow hashes a list again for every edge of the DAG.
        schedule=frozenset({assets.candidate(use_case.name)}),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(use_case.owner),
        tags=["deployment", use_case.name],
        description=f"Stage, shadow and canary a candidate of {use_case.name}, then promote or restore.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def deployment() -> None:
        begin = BeginRolloutOperator(task_id="begin", use_case=use_case.name)
        begin.is_setup = True
        common: dict[str, Any] = {"use_case": use_case.name, "lease": begin.output}
        stage = StageModelOperator(task_id="stage", **common)
        strategy = strategy_of(use_case.rollout)
        shadow = [
            ShiftTrafficOperator(**asdict(step), **common) for step in strategy.shadow(use_case.rollout)
        ]
        approve = ReleaseApprovalOperator(task_id="approve", **common)
        exposed = [
            ShiftTrafficOperator(**asdict(step), **common) for step in strategy.exposed(use_case.rollout)
        ]
        promote = PromoteModelOperator(task_id="promote", **common)
        restore = RestoreChampionOperator(task_id="restore", **common)
        chain(begin, stage, *shadow, approve, *exposed, promote, restore.as_teardown(setups=begin))

    text = "Registered version to deploy; empty: the candidate that started the run"
    return with_params(deployment(), {"version": version_param(use_case.name, text)})


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_deployment"):
        globals()[f"{use_case.name}_deployment"] = deployment_dag(use_case)
