"""Operators that delete files and rows which are no longer needed, and that profile tables."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.timezone import utcnow

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.model_registry import ModelRegistryHook
from airworthy.links import ProfileLink, report_url
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class CompactTableOperator(BaseOperator):
    """
    Compact a table, and delete files that are older than `retention` and that no registered snapshot needs.

    Example::

        CompactTableOperator(task_id="compact", table="flights", retention=timedelta(days=30))

    :param table: name of a table in the lake; the task is skipped if it does not exist
    :param retention: time for which old versions stay readable
    """

    template_fields: Sequence[str] = ("table",)

    def __init__(
        self,
        *,
        table: str,
        retention: timedelta = timedelta(days=30),
        lake_conn_id: str = LakeHook.default_conn_name,
        mlflow_conn_id: str = ModelRegistryHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.retention = retention
        self.lake_conn_id = lake_conn_id
        self.mlflow_conn_id = mlflow_conn_id

    def execute(self, context: Context) -> int:
        """Return the number of deleted files."""
        lake = LakeHook(self.lake_conn_id).lake
        if lake.version(self.table) is None:
            raise AirflowSkipException(f"There is no table {self.table} yet.")
        named_versions = ModelRegistryHook(self.mlflow_conn_id).registry.versions_of_table(self.table)
        return lake.optimize_and_vacuum(self.table, self.retention, keep_versions=named_versions)


class ProfileTableOperator(BaseOperator):
    """
    Write the profile page of a dataset or feature view; the XCom is its path below the reports.

    The task is skipped if nothing is published yet. The link «Profile» leads to the page.

    Example::

        ProfileTableOperator(task_id="profile", table="flights")

    :param table: a declared dataset or feature view (templated)
    """

    template_fields: Sequence[str] = ("table",)
    operator_extra_links = (ProfileLink(),)
    evidence_url = ""

    def __init__(self, *, table: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the path of the page."""
        from include.errors import PartitionMissing
        from include.governance.profile.page import write_profile

        try:
            path = write_profile(catalog(), LakeHook(self.lake_conn_id).lake, self.table)
        except PartitionMissing as error:
            raise AirflowSkipException(str(error)) from error
        self.evidence_url = report_url(path)
        return path


class RetireLogsOperator(BaseOperator):
    """
    Export days of the inference log and the access log that are past their retention, and delete them.

    The XCom has the number of deleted rows by table of the lake.

    Example::

        RetireLogsOperator(task_id="retire_logs")
    """

    def __init__(
        self,
        *,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Return the number of deleted rows by table."""
        from include.governance.log_retention.retirement import retire_logs

        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        deleted: dict[str, int] = {}
        for day in retire_logs(engine, LakeHook(self.lake_conn_id).lake, catalog()):
            self.log.info("%s: %s is in the lake, %d rows deleted", day.table, day.day, day.rows)
            deleted[day.table] = deleted.get(day.table, 0) + day.rows
        return deleted


class SweepStagingOperator(BaseOperator):
    """
    Delete staged frames of old runs.

    Example::

        SweepStagingOperator(task_id="sweep", older_than=timedelta(days=3))

    :param older_than: age of a frame; a run that is cleared later must start with the task that stages it
    """

    def __init__(
        self,
        *,
        older_than: timedelta = timedelta(days=3),
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.older_than = older_than
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> int:
        """Return the number of deleted frames."""
        return LakeHook(self.lake_conn_id).staging.sweep(utcnow() - self.older_than)
