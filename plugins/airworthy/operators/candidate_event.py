"""Operator that announces a certified version to its deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from airworthy import assets, run_context
from airworthy.links import ModelPageLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg


class AnnounceCandidateOperator(BaseOperator):
    """
    Announce a version by an event of the use case's candidate asset, which triggers its deployment.

    The version of a backfill run is evidence about the past, so it is not announced and the task is skipped.

    Example::

        AnnounceCandidateOperator(task_id="announce", use_case="flight_delay", version=register.output)

    :param use_case: a declared use case
    :param version: what `RegisterModelOperator` returned (templated)
    """

    template_fields: Sequence[str] = ("version",)
    operator_extra_links = (ModelPageLink(),)

    def __init__(self, *, use_case: str, version: int | XComArg, **kwargs: Any) -> None:
        super().__init__(outlets=[assets.candidate(use_case)], **kwargs)
        self.use_case = use_case
        self.version: Any = version

    def execute(self, context: Context) -> None:
        """Announce the version, unless the run is a backfill."""
        if run_context.is_backfill(context):
            raise AirflowSkipException(
                f"Version {self.version} belongs to a backfill: it is registered, but not deployed."
            )
        event: Any = {"version": int(self.version), "requested_by": run_context.actor(context)}
        context["outlet_events"][assets.candidate(self.use_case)].extra = event
