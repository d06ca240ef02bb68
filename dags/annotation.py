"""
### Annotation

Labels by people. Trigger it with an `action`:

* `correct`: the answer to `request` was wrong, and `label` is the right value of the label's column; `row`
  says which row of a request of several, from 1.
* `export`: the rows of production that are most worth a label are written to
  `annotations/<use case>_to_label.csv` in the landing folder, at most `rows`.
* `import`: the labels that were filled in are read from `annotations/<use case>_labelled.csv` there.

Labels are written into the landed files of the label's dataset, whose ingestion then runs with its gates. The
ledger has who did it, and the `reason`.

**If a task fails (red):**

- `annotate`: nothing has changed; the message says which request, row or label is wrong. Trigger it again.
- `ingest`: the runs of the ingestion could not be started. Clear it.

Runbook: [data refused](airworthy/docs/runbooks/ingestion-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag

from airworthy.defaults import DAG_DEFAULTS, START, default_args, is_needed, with_params
from airworthy.operators.annotation import CORRECT, EXPORT, IMPORT, AnnotationOperator
from airworthy.operators.trigger_run import TriggerRunOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import UseCase


def label_params(use_case: UseCase) -> dict[str, Param]:
    """Return the parameters of a run."""
    text: Any = {"type": ["null", "string"]}
    label = use_case.label.description
    return {
        "action": Param(
            CORRECT, type="string", enum=[CORRECT, EXPORT, IMPORT], description="What to do"
        ),
        "request": Param(None, **text, description="To correct: X-Request-Id, trace id or the gateway's id"),
        "label": Param(None, **text, description=f"To correct: the right value, as in the data; {label}"),
        "row": Param(None, type=["null", "integer"], minimum=1, description="Row of a request of several"),
        "rows": Param(
            None, type=["null", "integer"], minimum=1, maximum=10_000,
            description=f"To export: rows at most; {use_case.annotation.rows} if empty",
        ),
        "reason": Param(None, **text, description="Reason for the ledger; required to correct and import"),
    }  # fmt: skip


def annotation_dag(use_case: UseCase) -> DAG:
    """Build the DAG of one use case's labels by people."""

    @dag(
        dag_id=f"{use_case.name}_annotation",
        schedule=None,
        start_date=START,
        default_args=default_args(use_case.owner),
        tags=["annotation", use_case.name],
        description=f"Correct answers of {use_case.name}, and label rows that are worth it.",
        doc_md=__doc__,
        **DAG_DEFAULTS,
    )
    def annotation() -> None:
        annotate = AnnotationOperator(task_id="annotate", use_case=use_case.name)
        ingest = TriggerRunOperator.partial(
            task_id="ingest", trigger_dag_id=f"{use_case.label.dataset}_ingestion", logical_date=None,
            skip_when_already_exists=True, map_index_template="{{ task.trigger_run_id }}",
        ).expand_kwargs(annotate.output)  # fmt: skip
        annotate >> ingest

    return with_params(annotation(), label_params(use_case))


for use_case in catalog().use_cases.values():
    if not use_case.label.is_absent and is_needed(f"{use_case.name}_annotation"):
        globals()[f"{use_case.name}_annotation"] = annotation_dag(use_case)
