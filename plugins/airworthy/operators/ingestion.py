"""Take a partition from its source, and put it where others find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import runs
from airworthy.hooks.lake import LakeHook
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.data.lake import Lake


class ExtractPartitionOperator(BaseOperator):
    """
    Read the landed files of the run's days into one staged frame; the XCom is its URI.

    Example::

        ExtractPartitionOperator(task_id="extract", dataset="flights")

    :param dataset: a declared dataset
    """

    def __init__(
        self, *, dataset: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.dataset = dataset
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the staged frame's URI."""
        hook = LakeHook(self.lake_conn_id)
        frame = hook.landing.read(catalog().datasets[self.dataset], runs.days(context))
        self.log.info("%s: %d rows of %s", self.dataset, len(frame), runs.partition_key(context))
        return hook.staging.write(runs.run_key(context), "extracted", frame)


class PublishPartitionOperator(BaseOperator):
    """
    Replace the run's days of a table by a staged frame, in one commit; the XCom is the table's new version.

    Example::

        PublishPartitionOperator(task_id="publish", table="flights", frame=validate.output, outlets=[asset])

    :param table: name of the table in the lake
    :param frame: URI of the staged frame (templated)
    """

    template_fields: Sequence[str] = ("table", "frame")

    def __init__(
        self,
        *,
        table: str,
        frame: str | XComArg,
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.frame: Any = frame
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> int:
        """Return the version of the table after the commit."""
        hook = LakeHook(self.lake_conn_id)
        metadata = {"run": runs.run_key(context), "try": str(context["ti"].try_number)}
        version = hook.lake.publish(
            self.table, hook.staging.read(self.frame), runs.days(context), metadata=metadata
        )
        self.announce(context, hook.lake)
        return version

    def announce(self, context: Context, lake: Lake) -> None:
        """Tell those who follow the outlets which partitions are new."""
        for asset in self.outlets:
            runs.announce(context, asset)
