"""
### Quarantine

List, release or discard the rows of a dataset that its quality gate rejected. Trigger it with an `action`:

* `list`: the number of pending rows by day and reason; `inspect`: every row. Both are in the log of `show`
  and on the page of its link.
* `release`: the selected rows are validated by today's declaration; those that pass are merged into their
  partition, and the features are built again. The others stay, with their new reasons.
* `discard`: the selected rows are removed for good; `comment` says why.

`first`, `last`, `rows` (ids) and `reason` (a part of it) select rows; without them, all rows are selected.
The ledger records every row that leaves. A run that was stopped may be cleared: it continues where it
stopped.

**If a task fails (red):**

- `show`: the lake cannot be reached.
- `release`: no row passes today's declaration, or its partition was never published; the message says which.
  Only the reasons of the rows were changed.
- `discard`: `comment` is missing, or the lake cannot be reached.

Runbook: [data refused](airworthy/docs/runbooks/ingestion-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag

from airworthy.defaults import START, day_range, default_args, is_needed, with_params
from airworthy.operators.quarantine import (
    DiscardQuarantineOperator,
    ReleaseQuarantineOperator,
    ShowQuarantineOperator,
)
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.declarations import Dataset

ACTIONS = ["list", "inspect", "release", "discard"]


def row_params() -> dict[str, Param]:
    """Return the parameters that select an action and rows."""
    text: Any = {"type": ["null", "string"]}
    return {
        "action": Param("list", type="string", enum=ACTIONS, description="What to do with the selected rows"),
        **day_range(use="of the rows"),
        "rows": Param([], type="array", items={"type": "string"}, description="Ids of rows; all if empty"),
        "reason": Param(None, **text, description="Only rows with this text in a reason; empty: all"),
        "comment": Param(None, **text, description="Reason for the ledger; required to discard"),
    }


def quarantine_dag(dataset: Dataset) -> DAG:
    """Build the quarantine DAG of one dataset."""

    @dag(
        dag_id=f"{dataset.name}_quarantine",
        schedule=None,
        start_date=START,
        max_active_runs=1,
        default_args=default_args(dataset.owner),
        tags=["quarantine", dataset.name],
        description=f"List, release or discard the rejected rows of {dataset.name}.",
        doc_md=__doc__,
    )
    def quarantine() -> None:
        show = ShowQuarantineOperator(task_id="show", dataset=dataset.name)
        release = ReleaseQuarantineOperator(task_id="release", dataset=dataset.name)
        discard = DiscardQuarantineOperator(task_id="discard", dataset=dataset.name)
        show >> [release, discard]

    return with_params(quarantine(), row_params())


for dataset in catalog().datasets.values():
    if is_needed(f"{dataset.name}_quarantine"):
        globals()[f"{dataset.name}_quarantine"] = quarantine_dag(dataset)
