"""Take a partition from its source, and put it where others find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import assets, run_context, watermarks
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.sources import SourceHook
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.data.lake.delta_tables import Lake
    from include.partitions import Granularity


class ExtractPartitionOperator(BaseOperator):
    """
    Read the run's partitions from their source into one staged frame; the XCom is its URI.

    What upstream sends beyond what is declared is in the log and in the XCom `remarks`. Of a query with a
    watermark, the XCom `changes` says how far upstream is, and which earlier partitions changed since then.

    Example::

        ExtractPartitionOperator(task_id="extract", dataset="flights")

    :param dataset: a declared dataset
    """

    def __init__(
        self, *, dataset: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(inlets=[assets.dataset(dataset)], **kwargs)  # whose state it may read
        self.dataset = dataset
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the staged frame's URI."""
        dataset, hook = catalog().datasets[self.dataset], LakeHook(self.lake_conn_id)
        wanted = run_context.run_partitions(context, dataset.granularity)
        source = SourceHook(dataset, self.lake_conn_id).source
        changes = watermarks.pending_changes(context, dataset, source, hook.lake)
        extract = source.read(dataset, wanted)
        for remark in extract.remarks:
            self.log.warning("%s", remark)
        context["ti"].xcom_push("remarks", list(extract.remarks))
        context["ti"].xcom_push("changes", changes)
        self.log.info(
            "%s: %d rows of %s", self.dataset, len(extract.rows), run_context.partition_key(context)
        )
        return hook.staging.write(run_context.attempt_key(context), "extracted", extract.rows)


class PlanLateRunsOperator(BaseOperator):
    """
    Say which runs take partitions again that changed late; the XCom is what each is triggered with.

    Example::

        PlanLateRunsOperator(task_id="plan", changes=XComArg(extract, "changes"))

    :param changes: what the extraction found (templated)
    """

    template_fields: Sequence[str] = ("changes",)

    def __init__(self, *, changes: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return one run for each stretch of partitions."""
        late = watermarks.plan_late_runs(self.changes)
        self.log.info("%d runs take again what changed late", len(late))
        return late


class AdvanceWatermarkOperator(BaseOperator):
    """
    Remember in the asset's state how far upstream's changes were taken, once they are published.

    Example::

        AdvanceWatermarkOperator(task_id="advance", dataset="orders", changes=XComArg(extract, "changes"))

    :param dataset: a declared dataset
    :param changes: what the extraction found (templated)
    """

    template_fields: Sequence[str] = ("changes",)

    def __init__(self, *, dataset: str, changes: Any, **kwargs: Any) -> None:
        super().__init__(inlets=[assets.dataset(dataset)], **kwargs)
        self.dataset = dataset
        self.changes = changes

    def execute(self, context: Context) -> None:
        """Set the watermark, unless another run has set a later one."""
        watermarks.advance(context, self.dataset, self.changes)


class PublishPartitionOperator(BaseOperator):
    """
    Replace the run's days of a table by a staged frame, in one commit; the XCom is the table's new version.

    Example::

        PublishPartitionOperator(task_id="publish", table="flights", frame=validate.output, outlets=[asset])

    :param table: name of the table in the lake
    :param frame: URI of the staged frame (templated)
    :param granularity: whether the table's partitions are days or hours
    """

    template_fields: Sequence[str] = ("table", "frame")

    def __init__(
        self,
        *,
        table: str,
        frame: str | XComArg,
        granularity: Granularity = "day",
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.frame: Any = frame
        self.granularity = granularity
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> int:
        """Return the version of the table after the commit."""
        hook = LakeHook(self.lake_conn_id)
        metadata = {"run": run_context.dag_run_key(context), "try": str(context["ti"].try_number)}
        wanted = run_context.run_partitions(context, self.granularity)
        version = hook.lake.publish(self.table, hook.staging.read(self.frame), wanted, metadata=metadata)
        self.announce(context, hook.lake)
        return version

    def announce(self, context: Context, lake: Lake) -> None:
        """Tell those who follow the outlets which partitions are new."""
        for asset in self.outlets:
            run_context.announce_partitions(context, asset)
