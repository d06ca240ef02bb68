"""
### Rollback

Make the previous champion the champion again. Trigger the DAG with the reason; any rollout in progress ends.

**If a task fails (red):** the ledger names no previous champion, or PostgreSQL does not answer. The champion
has not changed and still serves. Without a previous champion, deploy the version that should serve.

Runbooks: [rollout rolled back](airworthy/docs/runbooks/rollout-rolled-back.md),
[database away](airworthy/docs/runbooks/database-away.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, version_param, with_params
from airworthy.operators.rollout import RollBackOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def rollback_dag(use_case: UseCase) -> DAG:
    """Build the rollback DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_rollback",
        schedule=None,
        start_date=START,
        default_args=default_args(use_case.owner),
        tags=["rollback", use_case.name],
        description=f"Make the previous champion of {use_case.name} the champion again.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def rollback() -> None:
        RollBackOperator(
            task_id="roll_back",
            use_case=use_case.name,
            reason="{{ params.reason }}",
            version="{{ params.version or '' }}",
        )

    reason = Param(type="string", minLength=3, description="Reason, for the ledger")
    version = version_param(use_case.name, "Roll back only if this is the champion")
    return with_params(rollback(), {"reason": reason, "version": version})


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_rollback"):
        globals()[f"{use_case.name}_rollback"] = rollback_dag(use_case)
