"""Operators that read a partition from its source and publish it to the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import assets, run_context, watermarks
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.sources import SourceHook
from airworthy.lineage_events import LineageDataset, ReportsLineage, lake_table
from include.catalog import catalog
from include.errors import RUNBOOKS
from include.partitions import DAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.data.lake.delta_tables import Lake
    from include.partitions import Partition


class ExtractPartitionOperator(ReportsLineage, BaseOperator):
    """
    Read the run's partitions from their source into one staged frame; the XCom is its path below the lake.

    The log and the XCom `remarks` name columns that are not declared. For a query with a watermark, the XCom
    `changes` has the newest change, and the earlier partitions that changed.

    Example::

        ExtractPartitionOperator(task_id="extract", dataset="flights")

    :param dataset: a declared dataset
    """

    runbook = f"{RUNBOOKS}/ingestion-refused.md"

    def __init__(
        self, *, dataset: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any
    ) -> None:
        # A task may read the state of its inlets, here the watermark.
        super().__init__(inlets=[assets.dataset(dataset)], **kwargs)
        self.dataset = dataset
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the path of the staged frame."""
        dataset = catalog().datasets[self.dataset]
        hook = LakeHook(self.lake_conn_id)
        requested = run_context.declared_partitions(context, dataset)
        source = SourceHook(dataset, self.lake_conn_id).source
        changes = watermarks.pending_changes(context, dataset, source, hook.lake)
        extract = source.read(dataset, requested)
        location = source.location(dataset, requested[0])
        self.report_lineage(inputs=(LineageDataset(f"source://{dataset.source.kind}", location),))
        path, n_rows = hook.staging.write_tables(
            run_context.attempt_key(context), "extracted", extract.tables
        )
        for remark in extract.remarks:
            self.log.warning("%s", remark)
        context["ti"].xcom_push("remarks", list(extract.remarks))
        context["ti"].xcom_push("changes", changes)
        self.log.info("%s: %d rows of %s", self.dataset, n_rows, run_context.partition_key(context))
        return path


class PlanLateRunsOperator(BaseOperator):
    """
    Plan the runs that ingest late partitions again; the XCom is a list of arguments, one set for each run.

    Example::

        PlanLateRunsOperator(task_id="plan", changes=XComArg(extract, "changes"))

    :param changes: the XCom `changes` of the extraction (templated)
    """

    template_fields: Sequence[str] = ("changes",)

    def __init__(self, *, changes: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.changes = changes

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Return the arguments of one run for each contiguous range of partitions."""
        runs = watermarks.plan_late_runs(self.changes)
        self.log.info("%d runs will ingest late partitions again", len(runs))
        return runs


class AdvanceWatermarkOperator(BaseOperator):
    """
    Store the watermark of the published changes in the state of the dataset's asset.

    Example::

        AdvanceWatermarkOperator(task_id="advance", dataset="orders", changes=XComArg(extract, "changes"))

    :param dataset: a declared dataset
    :param changes: the XCom `changes` of the extraction (templated)
    """

    template_fields: Sequence[str] = ("changes",)

    def __init__(self, *, dataset: str, changes: Any, **kwargs: Any) -> None:
        super().__init__(inlets=[assets.dataset(dataset)], **kwargs)
        self.dataset = dataset
        self.changes = changes

    def execute(self, context: Context) -> None:
        """Store the watermark, unless another run has stored a later one."""
        watermarks.advance(context, self.dataset, self.changes)


class PublishPartitionOperator(ReportsLineage, BaseOperator):
    """
    Replace the run's days of a table by a staged frame, in one commit; the XCom is the table's new version.

    Example::

        PublishPartitionOperator(task_id="publish", table="flights", frame=validate.output, outlets=[asset])

    :param table: name of the table in the lake
    :param frame: path of the staged frame (templated)
    :param code: digest of the code that built the rows, which the commit records (templated)
    :param references: versions of reference tables that they were built with, recorded too (templated)
    :param partitions_of: the dataset or feature view that has the table's partitions; by default days
    """

    template_fields: Sequence[str] = ("table", "frame", "code", "references")

    def __init__(
        self,
        *,
        table: str,
        frame: str | XComArg,
        code: str | XComArg = "",
        references: str | XComArg = "",
        partitions_of: str | None = None,
        lake_conn_id: str = LakeHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.frame: Any = frame
        self.code: Any = code
        self.references: Any = references
        self.partitions_of = partitions_of
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> int:
        """Return the version of the table after the commit."""
        hook = LakeHook(self.lake_conn_id)
        metadata = {
            "run": run_context.dag_run_key(context),
            "try": str(context["ti"].try_number),
            "code": self.code,
            **({"references": self.references} if self.references else {}),
        }
        partitions = self.partitions(context)
        self.skip_without_news(context, hook)
        rows = hook.staging.open(self.frame)
        version = hook.lake.publish(self.table, rows, partitions, metadata=metadata)
        self.report_lineage(outputs=(lake_table(hook.uri, self.table, version),))
        self.announce(context, hook.lake)
        return version

    def skip_without_news(self, context: Context, hook: LakeHook) -> None:
        """Raise AirflowSkipException if the rows need not be published; by default they always are."""

    def partitions(self, context: Context) -> list[Partition]:
        """Return the partitions of the run."""
        if self.partitions_of is None:
            return run_context.run_partitions(context, DAYS)
        return run_context.declared_partitions(context, catalog().declaration(self.partitions_of))

    def announce(self, context: Context, lake: Lake) -> None:
        """Send an event with the published partitions for each outlet."""
        for asset in self.outlets:
            run_context.announce_partitions(context, asset)
