"""
### Quarantine

Decide about the rows of a dataset that its gate refused. Trigger it with an `action`:

* `list`: how many rows wait, of which days, and why; `inspect`: every row. See the log of `show` or its link.
* `release`: judge the chosen rows by today's declaration; those that pass are merged into their partition,
  and the features follow. The others stay, with their new reasons.
* `discard`: take the chosen rows out for good; `comment` says why.

`first`, `last`, `rows` (ids) and `reason` (a part of it) choose; empty, all rows are meant. Every row that
leaves stands in the ledger. A run that was stopped may be cleared: it goes on where it stopped.

**If it is red:**

- `show`: the lake is away.
- `release`: none of the rows passes today's declaration, or its partition was never published; the message
  says which. Nothing was changed but their reasons.
- `discard`: there is no `comment`, or the lake is away.
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


def choice() -> dict[str, Param]:
    """Return the parameters that say what to do with which rows."""
    text: Any = {"type": ["null", "string"]}
    return {
        "action": Param("list", enum=ACTIONS, description="What to do with the chosen rows"),
        **day_range(),
        "rows": Param([], type="array", items={"type": "string"}, description="Ids of rows; all if empty"),
        "reason": Param(None, **text, description="Only rows with this in a reason"),
        "comment": Param(None, **text, description="Why, for the ledger; needed to discard"),
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
        description=f"Look at the refused rows of {dataset.name}, release or discard them.",
        doc_md=__doc__,
    )
    def quarantine() -> None:
        show = ShowQuarantineOperator(task_id="show", dataset=dataset.name)
        release = ReleaseQuarantineOperator(task_id="release", dataset=dataset.name)
        discard = DiscardQuarantineOperator(task_id="discard", dataset=dataset.name)
        show >> [release, discard]

    return with_params(quarantine(), choice())


for dataset in catalog().datasets.values():
    if is_needed(f"{dataset.name}_quarantine"):
        globals()[f"{dataset.name}_quarantine"] = quarantine_dag(dataset)
