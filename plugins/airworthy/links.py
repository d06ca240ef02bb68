"""Buttons on a task in Airflow's UI that lead to its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


def report_url(path: str) -> str:
    """Return where the browser finds a report of the lake; `airworthy_plugin` serves it behind the login."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/airworthy/reports/{path}"


class _Evidence(BaseOperatorLink):
    """A link whose address the operator learned while it ran, kept in its attribute `evidence_url`."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; called in the task's process when it ends, however it ends."""
        return getattr(operator, "evidence_url", "")


class DataDocsLink(_Evidence):
    """To the validation's page."""

    name = "Data docs"


class RefusedRowsLink(_Evidence):
    """To the table of refused rows."""

    name = "Refused rows"


class MlflowRunLink(_Evidence):
    """To the run in MLflow."""

    name = "MLflow run"


class MlflowPageLink(_Evidence):
    """To an experiment, a run or a model in MLflow."""

    name = "MLflow"


class ModelCardLink(BaseOperatorLink):
    """To the card of the version that was registered."""

    name = "Model card"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; called in the task's process when it ends."""
        return getattr(operator, "card_url", "")


class DriftReportLink(_Evidence):
    """To Evidently's report."""

    name = "Drift report"


class BacktestLink(_Evidence):
    """To the page of a walk-forward backtest."""

    name = "Backtest"


class ModelsLink(_Evidence):
    """To what the gateway says of the use case's models."""

    name = "Serving now"
