"""
### Training

Train a candidate every night, or on demand as of a day: take a snapshot, train, evaluate on later rows, judge
by every gate, certify, register. A certified candidate starts its deployment; a backfilled one does not.

With `experiment`, other `parameters`, `features` or days are trained, judged and compared with the champion,
and the later tasks are skipped: `airworthy experiments compare MODEL` shows such runs side by side.

**If a task fails (red):**

- `snapshot`: there are not enough days with labels; check the runs of the ingestions.
- `train`, `tune`: the estimator could not be fitted; the message says why. A killed tuning continues.
- `evaluate`: MLflow, the lake or the champion's files are not available; the task is retried.
- `gate`: **the model is not good enough.** The champion stays. The message and *MLflow run* have the figures.
- `approve`: a gate was inconclusive, and a person refused, or there was no answer within a day. The page of
  the gates is in the question, under *Required actions*. Other runs do not wait for the answer.
- `register` or, where declared, `refit`: the packaged model predicts differently than the trained one, or
  MLflow is not available. A refit that is worse is no error: the candidate is registered as it is.
- `announce`: Airflow could not record the event; clear the task.

Runbooks: [gate refused](airworthy/docs/runbooks/gate-refused.md),
[data refused](airworthy/docs/runbooks/ingestion-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import chain, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, with_params
from airworthy.failures import alert_after
from airworthy.operators.approval import CandidateApprovalOperator
from airworthy.operators.candidate_event import AnnounceCandidateOperator
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.refit import RefitModelOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from airworthy.operators.tuning import TuneModelOperator
from airworthy.placement import placement
from airworthy.timetables import schedule_of
from airworthy.training_params import training_params
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def training_dag(use_case: UseCase) -> DAG:
    """Build the training DAG of one use case."""

    @dag(
        dag_id=f"{use_case.name}_training",
        schedule=schedule_of(use_case, "training"),
        start_date=START,
        catchup=False,
        max_active_runs=2,
        default_args=default_args(use_case.owner),
        deadline=alert_after(use_case.schedules.maximum_run),
        tags=["training", use_case.name],
        description=use_case.description,
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def training() -> None:
        name = use_case.name
        placed = placement(use_case.resources)
        snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=name, as_of="{{ params.as_of or '' }}")
        tuned = None
        if use_case.tuning:
            tune = TuneModelOperator(task_id="tune", use_case=name, snapshot=snapshot.output, **placed)
            tuned = tune.output
        train = TrainModelOperator(
            task_id="train", use_case=name, snapshot=snapshot.output, tuned=tuned, **placed
        )
        inputs: dict[str, Any] = {"use_case": name, "snapshot": snapshot.output, "candidate": train.output}
        evaluate = EvaluateModelOperator(task_id="evaluate", **inputs, **placed)
        gate = ModelGateOperator(task_id="gate", evidence=evaluate.output, **inputs)
        approve = CandidateApprovalOperator(
            task_id="approve", use_case=name, candidate=train.output, question=gate.output
        )
        refit = None
        if use_case.training.final_refit:
            refit = RefitModelOperator(task_id="refit", **inputs, **placed)
        approvals = {"approvals": approve.output, "refit": refit.output if refit else None}
        register = RegisterModelOperator(
            task_id="register", evidence=evaluate.output, **approvals, **inputs, **placed
        )
        announce = AnnounceCandidateOperator(task_id="announce", use_case=name, version=register.output)
        chain(snapshot, train, evaluate, gate, approve, *([refit] if refit else []), register, announce)

    return with_params(training(), training_params(use_case))


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_training"):
        globals()[f"{use_case.name}_training"] = training_dag(use_case)
