"""
### Reproduction

Train a registered version again: with the rows of its snapshot, its parameters and seeds, and with the
present code and packages. Then compare the model, and its predictions on golden and test rows, with the
certified ones. No version is registered, and no alias is set. The result is logged to the version's MLflow
run (`reproduction.md`) and to the ledger.

**If a task fails (red):**

- `reproduce`: **the version cannot be reproduced.** The message says whether the rows have changed, or how
many
  predictions differ and by how much, and whether code, lock or packages have changed since. To find out
  whether they are the cause, check out the version's commit, install its lock, and trigger this DAG again.
  The version itself is not affected.

Runbook: [certificate refused](airworthy/docs/runbooks/certificate-refused.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import Param, dag

from airworthy.defaults import START, default_args, is_needed, with_params
from airworthy.operators.reproduction import ReproduceModelOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG


def reproduction_dag() -> DAG:
    """Build the DAG, which reproduces versions of any use case."""
    params = {
        "use_case": Param(
            type="string", enum=catalog().use_case_names, description="Use case of the version"
        ),
        "version": Param(
            type="integer", minimum=1, description_md="Registered version, see [its model](airworthy/)"
        ),
    }

    @dag(
        dag_id="reproduction",
        schedule=None,
        start_date=START,
        default_args=default_args("platform"),
        tags=["reproduction", "models"],
        description="Train a registered version again and compare both.",
        doc_md=__doc__,
    )
    def reproduction() -> None:
        ReproduceModelOperator(
            task_id="reproduce", use_case="{{ params.use_case }}", version="{{ params.version }}"
        )

    return with_params(reproduction(), params)


if is_needed("reproduction"):
    reproduction = reproduction_dag()
