"""
### Training

Make a candidate every night, or on demand as of a day: fix the data, train, measure on later rows, ask every
gate, certify, register. A certified candidate sets off its deployment; a backfilled one stays evidence.

**If it is red:**

- `snapshot`: there are not enough days with labels; see whether the ingestions ran.
- `train` and, where parameters are tuned, `tune`: the estimator could not be fitted; the message says on
  what. A tuning that was killed goes on where it was.
- `evaluate`: MLflow, the lake or the champion's files are away; it is tried again by itself.
- `gate`: **the model is not good enough, and nothing is broken.** The champion stays. The message and the
  link *MLflow run* give the figures of every gate.
- `approve`: a gate could not decide, and a person said no, or nobody answered within a day. The page of the
  gates is in the question, under *Required actions*. It waits in vain? Answer it; nothing else is held up.
- `register`: what was packaged answers otherwise than what was trained, or MLflow is away.
- `nominate`: Airflow could not record the event; clear it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import CronTriggerTimetable, Param, chain, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, with_params
from airworthy.operators.approval import CandidateApprovalOperator
from airworthy.operators.candidate_event import AnnounceCandidateOperator
from airworthy.operators.gate import ModelGateOperator
from airworthy.operators.registration import RegisterModelOperator
from airworthy.operators.training import EvaluateModelOperator, TakeSnapshotOperator, TrainModelOperator
from airworthy.operators.tuning import TuneModelOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def training_dag(use_case: UseCase) -> DAG:
    """Build the training DAG of one use case."""
    as_of = Param(
        None,
        type=["null", "string"],
        format="date",
        description="Use only data from before this day; empty: the newest day whose labels have landed",
    )

    @dag(
        dag_id=f"{use_case.name}_training",
        schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC"),
        start_date=START,
        catchup=False,
        max_active_runs=2,
        default_args=default_args(use_case.owner),
        tags=["training", use_case.name],
        description=use_case.description,
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def training() -> None:
        name = use_case.name
        snapshot = TakeSnapshotOperator(task_id="snapshot", use_case=name, as_of="{{ params.as_of or '' }}")
        tuned = None
        if use_case.tuning:
            tuned = TuneModelOperator(task_id="tune", use_case=name, snapshot=snapshot.output).output
        train = TrainModelOperator(task_id="train", use_case=name, snapshot=snapshot.output, tuned=tuned)
        made: dict[str, Any] = {"use_case": name, "snapshot": snapshot.output, "candidate": train.output}
        evaluate = EvaluateModelOperator(task_id="evaluate", **made)
        gate = ModelGateOperator(task_id="gate", evidence=evaluate.output, **made)
        approve = CandidateApprovalOperator(
            task_id="approve", use_case=name, candidate=train.output, question=gate.output
        )
        register = RegisterModelOperator(
            task_id="register", evidence=evaluate.output, approvals=approve.output, **made
        )
        nominate = AnnounceCandidateOperator(task_id="nominate", use_case=name, version=register.output)
        chain(snapshot, train, evaluate, gate, approve, register, nominate)

    return with_params(training(), {"as_of": as_of})


for use_case in catalog().use_cases.values():
    if is_needed(f"{use_case.name}_training"):
        globals()[f"{use_case.name}_training"] = training_dag(use_case)
