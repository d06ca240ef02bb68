"""
### Monitoring

Measure the champion's drift and label quality, then make one decision: retrain, alert or nothing. Each
decision is in the ledger with its evidence. `service_levels` checks each hour what callers get.

**If a task fails (red):**

- `detect_drift`: the served requests or the champion's training rows cannot be read. `decide` names that, and
  judges the rest. Check MLflow, PostgreSQL and the lake, then clear the task.
- `decide`: PostgreSQL did not answer after several retries. Clear the task when it does. Without MLflow or
  the lake it decides by what is known.
- `act`: **a person has to act.** The message says why. The link *Drift report* of `detect_drift` shows the
  inputs, the ledger shows earlier decisions.

Runbook: [drift alarm](airworthy/docs/runbooks/drift-alarm.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TriggerRule, XComArg, chain, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed
from airworthy.failures import alert_after
from airworthy.operators.drift import DriftDetectionOperator
from airworthy.operators.governor import ActOperator, DecideOperator
from airworthy.timetables import schedule_of
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def monitoring_dag(use_case: UseCase) -> DAG:
    """Build the monitoring DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_monitoring",
        schedule=schedule_of(use_case, "monitoring"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(use_case.owner),
        deadline=alert_after(use_case.schedules.maximum_run),
        tags=["monitoring", use_case.name],
        description=f"Measure the champion of {use_case.name} and decide whether to retrain.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def monitoring() -> None:
        detect = DriftDetectionOperator(task_id="detect_drift", use_case=use_case.name)
        decide = DecideOperator(
            task_id="decide",
            use_case=use_case.name,
            drift=XComArg(detect, "figures"),
            # It names what could not be measured, and judges the rest.
            trigger_rule=TriggerRule.ALL_DONE,
        )
        act = ActOperator(task_id="act", use_case=use_case.name, decision=decide.output)
        chain(detect, decide, act)

    return monitoring()


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_monitoring"):
        globals()[f"{use_case.name}_monitoring"] = monitoring_dag(use_case)
