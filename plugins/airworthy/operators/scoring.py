"""Operator that scores a partition of features with the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.lineage_events import ReportsLineage, is_reported, lake_table, model_version
from airworthy.operators.base import ModelOperator
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchScoringOperator(ReportsLineage, ModelOperator):
    """
    Score the days of the run with the champion; the XCom is the path of the staged predictions.

    The model is loaded like by the model server: downloaded, its certificate verified, then unpickled. It
    gets the features of its own specification, whatever is declared today.
    Without a champion, the task is skipped.

    Example::

        BatchScoringOperator(task_id="score", use_case="flight_delay")

    :param use_case: a declared use case
    """

    operator_extra_links = ()

    def execute(self, context: Context) -> str:
        """Score the rows and return the path of the staged predictions."""
        from include.data.feature_store.feature_rows import read_feature_rows
        from include.modeling.batch_scoring import score_batch, score_summary
        from include.modeling.registry import load_version
        from include.release import rollout
        from include.specifications import certified_specification

        with self.engine.connect() as connection:
            version = rollout.read_state(connection, self.use_case).champion
        if version is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet, so nothing is scored.")
        hook = LakeHook(self.lake_conn_id)
        trusted = settings().trusted_keys
        with self.workspace() as site:
            loaded = load_version.load_version(
                site.registry, self.use_case, version, folder=site.workdir / "model", trusted=trusted
            )
            specification = certified_specification(
                loaded.certificate.snapshot, site.use_case, loaded.model.features
            )
            selection = specification.selection
            scored_partitions = run_context.declared_partitions(context, selection.views[0])
            frame = read_feature_rows(selection, hook.lake, scored_partitions, names=specification.features)
            scored = score_batch(
                specification.use_case, selection.spine, loaded.model, frame, version=version
            )
        self.report_lineage(inputs=(model_version(self.use_case, version),))
        if is_reported():
            tables = {view.name: hook.lake.version(view.name) for view in selection.views}
            self.report_lineage(inputs=tuple(lake_table(hook.uri, *table) for table in tables.items()))
        figures = {"rows": len(scored), "version": version} | score_summary(scored)
        context["ti"].xcom_push("figures", figures)
        return hook.staging.write(run_context.attempt_key(context), "predictions", scored)
