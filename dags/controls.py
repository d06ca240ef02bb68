"""
### Controls

What a person can do to a model at any time, with a reason for the ledger:

- switch off: callers get a fallback instead of the champion, and any rollout ends; switch on ends that.
- freeze: no version is rolled out or promoted until it is lifted.
- pause, resume, skip, abort: the rollout stays at its step, goes on, passes its step whatever the figures
  are, or ends with all traffic at the champion.

**If a task fails (red):** the action was not possible, and nothing has changed; the message says why.

Runbooks: [releases frozen](airworthy/docs/runbooks/releases-frozen.md),
[database away](airworthy/docs/runbooks/database-away.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, with_params
from airworthy.operators.controls import SWITCH_OFF, ReleaseControlOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase

ACTIONS = [SWITCH_OFF, "switch on", "freeze", "lift", "pause", "resume", "skip", "abort"]


def controls_dag(use_case: UseCase) -> DAG:
    """Build the DAG of one use case's controls."""

    @dag(
        dag_id=f"{use_case.name}_controls",
        schedule=None,
        start_date=START,
        default_args=default_args(use_case.owner),
        tags=["controls", use_case.name],
        description=f"Switch {use_case.name} off, freeze its releases, or steer its rollout.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def controls() -> None:
        ReleaseControlOperator(
            task_id="control",
            use_case=use_case.name,
            action="{{ params.action }}",
            reason="{{ params.reason }}",
            fallback="{{ params.fallback }}",
        )

    return with_params(
        controls(),
        {
            "action": Param(type="string", enum=ACTIONS, description="What to do"),
            "reason": Param(type="string", minLength=3, description="Reason, for the ledger and for callers"),
            "fallback": Param(
                "",
                type="string",
                pattern=r"^(unavailable|baseline|previous|constant:.+)?$",
                description="Only to switch off: unavailable, constant:0.2, baseline or previous",
            ),
        },
    )


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_controls"):
        globals()[f"{use_case.name}_controls"] = controls_dag(use_case)
