"""Operator that reports the results of a backfilled training DAG."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy.hooks.lake import LakeHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.links import BacktestLink, report_url
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from airflow.sdk import BaseOperatorLink, Context


class BacktestOperator(BaseOperator):
    """
    Report the trainings as of a range of days as one table and figure; the XCom is a summary in words.

    Example::

        BacktestOperator(
            task_id="backtest", use_case="flight_delay", first="2013-06-01", last="2013-06-30"
        )

    :param use_case: a declared use case (templated)
    :param first: first as-of day (templated)
    :param last: last as-of day (templated)
    """

    template_fields: Sequence[str] = ("use_case", "first", "last")
    operator_extra_links: Collection[BaseOperatorLink] = (BacktestLink(),)
    evidence_url = ""

    def __init__(
        self,
        *,
        use_case: str,
        first: str,
        last: str,
        lake_conn_id: str = LakeHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.use_case = use_case
        self.first = first
        self.last = last
        self.lake_conn_id = lake_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> str:
        """Write the report and return its summary."""
        from include.modeling.backtest.report import render_page, report_path
        from include.modeling.backtest.walk_forward import run_backtest
        from include.storage import reports

        use_case = catalog().use_cases[self.use_case]
        tracking = ModelRegistryHook(self.mlflow_conn_id).registry
        backtest = run_backtest(
            tracking, use_case, date.fromisoformat(self.first), date.fromisoformat(self.last)
        )
        path = report_path(backtest)
        lake_hook = LakeHook(self.lake_conn_id)
        reports.write_report(lake_hook.uri, lake_hook.storage_options, path, render_page(backtest))
        self.evidence_url = report_url(path)
        return backtest.summary
