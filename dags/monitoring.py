"""
### Monitoring

Look at what callers sent, what they were answered, and the labels that landed since; then make one decision:
retrain, roll back, alert, freeze releases, or nothing. Every decision stands in the ledger with its evidence.

**If it is red:**

- `detect_drift`: the served requests or the champion's training rows could not be read.
- `decide`: PostgreSQL or the lake is away; it is tried again by itself.
- `act`: **a person is asked for**: the message says what was found. The link *Drift report* of `detect_drift`
  shows the inputs; the ledger shows earlier decisions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import CronTriggerTimetable, XComArg, chain, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed
from airworthy.operators.drift import DriftDetectionOperator
from airworthy.operators.governor import ActOperator, DecideOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def monitoring_dag(use_case: UseCase) -> DAG:
    """Build the monitoring DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_monitoring",
        schedule=CronTriggerTimetable("0 6 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args=default_args(use_case.owner),
        tags=["monitoring", use_case.name],
        description=f"Is the champion of {use_case.name} still fit to fly?",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def monitoring() -> None:
        detect = DriftDetectionOperator(task_id="detect_drift", use_case=use_case.name)
        decide = DecideOperator(task_id="decide", use_case=use_case.name, drift=XComArg(detect, "figures"))
        act = ActOperator(task_id="act", use_case=use_case.name, decision=decide.output)
        chain(detect, decide, act)

    return monitoring()


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_monitoring"):
        globals()[f"{use_case.name}_monitoring"] = monitoring_dag(use_case)
