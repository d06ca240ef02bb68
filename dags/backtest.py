"""
### Backtest

Lay out what the trainings as of a range of days came to: for every night the metric on the days that followed
its training, with an interval, beside the naive forecast and the champion, and what the gates said. Backfill
the training DAG over the range first. The table and the plot are behind the task's link *Backtest*.

**If it is red:**

- `backtest`: there is no training as of those days, or `first` is after `last`; the message says how to
  backfill them. Or MLflow or the lake are away; it is tried again by itself.
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
    """Build the one DAG that lays out trainings, of whatever use case."""
    day: dict[str, Any] = {"type": "string", "format": "date"}
    params = {
        "use_case": Param(type="string", enum=sorted(catalog().use_cases), description="Whose trainings"),
        "first": Param(**day, description="First as-of day"),
        "last": Param(**day, description="Last as-of day"),
    }

    @dag(
        dag_id="backtest",
        schedule=None,
        start_date=START,
        default_args=default_args("platform"),
        tags=["backtest", "models"],
        description="Lay out the trainings of a range of days as one table and plot.",
        doc_md=__doc__,
    )
    def backtest() -> None:
        names = ("use_case", "first", "last")
        BacktestOperator(task_id="backtest", **{name: f"{{{{ params.{name} }}}}" for name in names})

    return with_params(backtest(), params)


if is_needed("backtest"):
    backtest = backtest_dag()
