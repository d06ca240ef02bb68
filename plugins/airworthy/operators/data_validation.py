"""Operator that validates the partitions of a run against their declaration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.links import DataDocsLink, QuarantinedRowsLink, report_url
from include.catalog import catalog
from include.declarations import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.declarations import FeatureView


class DataValidationOperator(BaseOperator):
    """
    Validate a staged frame with Great Expectations against the declaration of `subject`.

    Rejected rows go to the table `<subject>_quarantine` with the reasons; the XCom is the URI of the accepted
    rows. Evidence is written before the task fails: a row in `gate_result`, and the page of the link
    «Data docs». The link «Quarantined rows» leads to the rejected rows, if there are any.

    Example::

        DataValidationOperator(task_id="validate", subject="flights", frame=extract.output)

    :param subject: a declared dataset or feature view
    :param frame: URI of the staged frame (templated)
    """

    template_fields: Sequence[str] = ("subject", "frame")
    operator_extra_links = (DataDocsLink(), QuarantinedRowsLink())
    quarantine_url = ""

    def __init__(
        self,
        *,
        subject: str,
        frame: str | XComArg,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.subject = subject
        self.frame: Any = frame
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> str:
        """Return the URI of the accepted rows; raise QualityFailed if the partitions may not be published."""
        from include.data.quality_gate import accepted_schema, page_path, run_quality_gate
        from include.data.quarantine.page import write_rejected_page
        from include.data.quarantine.queue import Quarantine
        from include.storage.staging import staging_path

        declared = catalog().declaration(self.subject)
        hook = LakeHook(self.lake_conn_id)
        days = run_context.declared_partitions(context, declared)
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        self.evidence_url = report_url(page_path(self.subject, days))
        run = run_context.attempt_key(context)
        path = staging_path(run, "accepted")
        # After an error the accepted rows are not staged.
        with hook.staging.writer(path, accepted_schema(declared, days)) as write:
            report = run_quality_gate(
                declared,
                hook.staging.open(self.frame),
                days,
                lake=hook.lake,
                engine=engine,
                run=run,
                write_accepted=write,
            )
            context["ti"].xcom_push("figures", report.figures())
            accepted = f"{report.accepted_rows:,}"
            self.log.info("%s: %s rows accepted, %d quarantined", self.subject, accepted, report.rejected)
            for remark in report.remarks():
                self.log.warning("%s: %s", self.subject, remark)
            if report.rejected:
                path_of_rows = write_rejected_page(Quarantine(declared, hook.lake, engine), days)
                self.quarantine_url = report_url(path_of_rows)
            report.raise_if_failed(self.subject, remedy=_remedy(declared))
        return path


def _remedy(declared: Dataset | FeatureView) -> str:
    """Return what to do about rows that are refused; nobody sends those of a view."""
    if isinstance(declared, Dataset):
        return ""
    return (
        f"Correct build() of {declared.name} or the datasets that it reads, and build the partition again; "
        "or correct the declaration of the view if the data is right."
    )
