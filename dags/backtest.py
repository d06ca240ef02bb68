"""
### Backtest

Report the trainings as of a range of days: for every night the metric on the days after the training days,
with an interval, the baseline, the champion, and the conclusion of the gates. Backfill the training DAG over
the range first. The task's link *Backtest* opens the table and the figure.

**If a task fails (red):**

- `backtest`: there is no training as of those days, or `first` is after `last`; the message contains the
  command of the backfill. Or MLflow or the lake do not respond; the task is retried automatically.

Runbook: [a service is away](airworthy/docs/runbooks/database-away.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, dag

from airworthy.defaults import START, default_args, is_needed, with_params
from airworthy.operators.backtest import BacktestOperator
from include.catalog import catalog

if TYPE_CHECKING:
    from airflow.sdk import DAG


def backtest_dag() -> DAG:
    """Build the DAG, which reports trainings of any use case."""
    day: dict[str, Any] = {"type": "string", "format": "date"}
    params = {
        "use_case": Param(
            type="string", enum=catalog().use_case_names, description="Use case of the trainings"
        ),
        "first": Param(**day, description="First as-of day"),
        "last": Param(**day, description="Last as-of day"),
    }

    @dag(
        dag_id="backtest",
        schedule=None,
        start_date=START,
        default_args=default_args("platform"),
        tags=["backtest", "models"],
        description="Report the trainings of a range of days as one table and figure.",
        doc_md=__doc__,
    )
    def backtest() -> None:
        BacktestOperator(
            task_id="backtest",
            use_case="{{ params.use_case }}",
            first="{{ params.first }}",
            last="{{ params.last }}",
        )

    return with_params(backtest(), params)


if is_needed("backtest"):
    backtest = backtest_dag()
