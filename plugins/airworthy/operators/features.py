"""Operators of feature views: build the rows, check them for leakage, write them to the online store."""

from __future__ import annotations

from logging import INFO, WARNING
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airworthy import run_context
from airworthy.hooks.airworthy_database import AirworthyDatabaseHook
from airworthy.hooks.lake import LakeHook
from airworthy.lineage_events import ReportsLineage, is_reported, lake_table
from include.catalog import catalog
from include.errors import RUNBOOKS
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.partitions import Partition


class BuildFeaturesOperator(ReportsLineage, BaseOperator):
    """
    Build the rows of a feature view for the run's partitions; the XCom is the URI of the staged frame.

    The XCom `code` has the digest of the code that built them, `references` the versions of reference tables
    that they were built with. Partitions that other code built, and versions that were known only later, are
    logged.

    Example::

        BuildFeaturesOperator(task_id="build", feature_view="flight_features")

    :param feature_view: a declared feature view
    """

    runbook = f"{RUNBOOKS}/ingestion-refused.md"

    def __init__(
        self, *, feature_view: str, lake_conn_id: str = LakeHook.default_conn_name, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.lake_conn_id = lake_conn_id

    def execute(self, context: Context) -> str:
        """Return the URI of the staged frame."""
        from include.data import build_code
        from include.data.features import build as features
        from include.data.features import references
        from include.data.lake.partition_columns import PartitionSet
        from include.data.reading.table import read_frame

        hook = LakeHook(self.lake_conn_id)
        view = catalog().feature_views[self.feature_view]
        build = features.build_function(view)
        code = build_code.current_code(hook.lake, view.name)
        context["ti"].xcom_push("code", code)
        self._log_stale(build_code.stale_partitions(hook.lake, view.name, code))
        partitions = run_context.declared_partitions(context, view)
        uses = references.used_versions(view, hook.lake, partitions, datasets=catalog().sources)
        for use in uses:
            self.log.log(INFO if use.known_at else WARNING, "%s: %s", view.name, use.describe())
        context["ti"].xcom_push("references", references.to_json(uses))
        if is_reported():
            versions = {source.dataset: hook.lake.version(source.dataset) for source in view.sources}
            self.report_lineage(
                inputs=tuple(lake_table(hook.uri, table, version) for table, version in versions.items())
            )
        frame = features.build_features(view, build, hook.lake, partitions, references=uses)
        table = read_frame(frame, view.columns)
        for column in PartitionSet.of(partitions).columns:
            table = table.append_column(column, [frame[column].tolist()])
        return hook.staging.write_table(run_context.attempt_key(context), "features", table)

    def _log_stale(self, stale: Sequence[Partition]) -> None:
        if stale:
            self.log.warning(
                "%s: other code built %d partitions, %s to %s: `airworthy features rebuild %s` rebuilds them",
                self.feature_view, len(stale), format_partition(stale[0]), format_partition(stale[-1]),
                self.feature_view,
            )  # fmt: skip


class CheckLeakageOperator(BaseOperator):
    """
    Rebuild a sample of the staged rows from data known at prediction time, and fail if a feature differs.

    The evidence is a row in `gate_result`, written before the task fails.

    Example::

        CheckLeakageOperator(task_id="check_leakage", feature_view="flight_features", frame=build.output)

    :param feature_view: a declared feature view
    :param frame: path of the staged frame (templated)
    :param references: the XCom `references` of the build (templated); by default the versions known now
    """

    template_fields: Sequence[str] = ("feature_view", "frame", "references")
    runbook = f"{RUNBOOKS}/ingestion-refused.md"

    def __init__(
        self,
        *,
        feature_view: str,
        frame: str | XComArg,
        references: str | XComArg = "",
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.frame: Any = frame
        self.references: Any = references
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> int:
        """Return the number of rows that were rebuilt."""
        from include.data.features import leakage_check, references
        from include.data.features.build import build_function
        from include.data.lake.dtypes import to_frame
        from include.data.validation import gate_results

        hook = LakeHook(self.lake_conn_id)
        view = catalog().feature_views[self.feature_view]
        build = build_function(view)
        rows = to_frame(hook.staging.read_table(self.frame))
        partitions = run_context.declared_partitions(context, view)
        uses = references.from_json(view, self.references) or None
        check = leakage_check.check_leakage(view, build, hook.lake, rows, partitions, references=uses)
        engine = AirworthyDatabaseHook(self.airworthy_conn_id).engine
        run = run_context.attempt_key(context)
        partition = run_context.partition_key(context)
        gate_results.record_gate_result(engine, self.feature_view, run, partition, check.results())
        check.raise_if_failed(self.feature_view)
        return check.rows


class MaterialiseFeaturesOperator(BaseOperator):
    """
    Write the run's days of a feature view to the online store, if they are among its newest days.

    A run without days writes all of the newest days. A second run changes nothing. The XCom holds the number
    of rows, the days, and the number of older values that were deleted.

    Example::

        MaterialiseFeaturesOperator(task_id="materialise", feature_view="flight_features")

    :param feature_view: a declared feature view with `online`
    """

    template_fields: Sequence[str] = ("feature_view",)

    def __init__(
        self,
        *,
        feature_view: str,
        lake_conn_id: str = LakeHook.default_conn_name,
        airworthy_conn_id: str = AirworthyDatabaseHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.feature_view = feature_view
        self.lake_conn_id = lake_conn_id
        self.airworthy_conn_id = airworthy_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the number of rows and the days that were written."""
        from include.data.feature_store.client import materialise_view

        view = catalog().feature_views[self.feature_view]
        lake = LakeHook(self.lake_conn_id).lake
        url = AirworthyDatabaseHook(self.airworthy_conn_id).engine.url
        has_days = context["dag_run"].partition_key or context["params"].get("first")
        result = materialise_view(view, lake, url, run_context.run_days(context) if has_days else None)
        self.log.info(
            "%s: wrote %d rows of %s online", view.name, result.rows, ", ".join(result.days) or "no day"
        )
        return {"rows": result.rows, "days": list(result.days), "evicted": result.evicted}
