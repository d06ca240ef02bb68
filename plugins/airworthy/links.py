"""Links from a task in Airflow's UI to its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink, conf

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


def report_url(path: str) -> str:
    """Return the address of a report of the lake, which `airworthy_plugin` serves to logged-in users."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/airworthy/reports/{path}"


class _EvidenceLink(BaseOperatorLink):
    """Link to the address in the operator's attribute `evidence_url`, which is known after it has run."""

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; Airflow calls this in the task's process, also after a failure."""
        return getattr(operator, "evidence_url", "")


class DataDocsLink(_EvidenceLink):
    """Link to the page of a validation."""

    name = "Data docs"


class RejectedRowsLink(_EvidenceLink):
    """Link to the table of rejected rows."""

    name = "Rejected rows"


class MlflowRunLink(_EvidenceLink):
    """Link to the run in MLflow."""

    name = "MLflow run"


class MlflowPageLink(_EvidenceLink):
    """Link to an experiment, a run or a model in MLflow."""

    name = "MLflow"


class ModelCardLink(BaseOperatorLink):
    """Link to the model card of the registered version."""

    name = "Model card"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; Airflow calls this in the task's process."""
        return getattr(operator, "card_url", "")


class DriftReportLink(_EvidenceLink):
    """Link to the drift report."""

    name = "Drift report"


class ProfileLink(_EvidenceLink):
    """Link to the profile page of a dataset or feature view."""

    name = "Profile"


class BacktestLink(_EvidenceLink):
    """Link to the page of a walk-forward backtest."""

    name = "Backtest"


class ModelsLink(_EvidenceLink):
    """Link to the gateway's page with the served versions."""

    name = "Serving now"
