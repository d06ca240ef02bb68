"""
### Reproduction

Make a registered version again: the rows of its snapshot, today's code with its parameters and seeds, today's
packages. Then compare the model, and its predictions on golden and test rows, with what was certified.
Nothing is registered, and no alias moves. What came of it lies with the version's MLflow run
(`reproduction.md`) and in the ledger.

**If it is red:**

- `reproduce`: **the version cannot be made again as it was.** The message says whether the rows are others,
  or how many predictions differ and by how much, and whether code, lock or packages have changed since. To
  see whether they are why, check the version's commit out, install its lock, and trigger this again. The
  version itself stays as good as it was.
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
    """Build the one DAG that makes versions again, of whatever use case."""
    params = {
        "use_case": Param(type="string", enum=sorted(catalog().use_cases), description="Whose version"),
        "version": Param(type="integer", minimum=1, description="The registered version"),
    }

    @dag(
        dag_id="reproduction",
        schedule=None,
        start_date=START,
        default_args=default_args("platform"),
        tags=["reproduction", "models"],
        description="Make a registered version again and compare it.",
        doc_md=__doc__,
    )
    def reproduction() -> None:
        ReproduceModelOperator(
            task_id="reproduce", use_case="{{ params.use_case }}", version="{{ params.version }}"
        )

    return with_params(reproduction(), params)


if is_needed("reproduction"):
    reproduction = reproduction_dag()
