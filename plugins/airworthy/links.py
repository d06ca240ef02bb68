"""Links from a task in Airflow's UI to its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink, conf
from airflow.sdk.exceptions import AirflowException

from include.errors import AirworthyError

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


def page_url(path: str) -> str:
    """Return the address of a page of the plugin for browsers."""
    return f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/airworthy/{path}"


def report_url(path: str) -> str:
    """Return the address of a report of the lake, which `airworthy_plugin` serves to logged-in users."""
    return page_url(f"reports/{path}")


class _EvidenceLink(BaseOperatorLink):
    """Link to the address in an attribute of the operator, which is known after it has run."""

    attribute: ClassVar[str] = "evidence_url"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """
        Return the address; Airflow calls this in the task's process, also after a failure.

        Without an address, Airflow shows no link.
        """
        try:
            return getattr(operator, self.attribute, "") or ""
        except (AirworthyError, AirflowException):
            # A service that is away must not add an error to the log of a task.
            return ""


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


class ModelCardLink(_EvidenceLink):
    """Link to the model card of the registered version."""

    name = "Model card"
    attribute = "card_url"


class CertificateLink(_EvidenceLink):
    """Link to the files of the registered version in MLflow, with its certificate."""

    name = "Certificate"
    attribute = "certificate_url"


class RegistryVersionLink(_EvidenceLink):
    """Link to the version in MLflow's registry."""

    name = "Registry version"
    attribute = "version_url"


class QuarantinedRowsLink(_EvidenceLink):
    """Link to the rows that a validation rejected."""

    name = "Quarantined rows"
    attribute = "quarantine_url"


class ModelPageLink(BaseOperatorLink):
    """Link to the page of the use case in Airflow."""

    name = "Model page"

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the address; it is known before the task has run."""
        use_case = operator.use_case
        return page_url(f"models/{quote(use_case)}") if isinstance(use_case, str) else ""


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
