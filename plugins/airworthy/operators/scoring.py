"""Predict a whole partition with the version that is serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator
from include.catalog import catalog
from include.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class BatchScoringOperator(ModelOperator):
    """
    Score the run's days of the use case's feature view with its champion; the XCom is the staged predictions.

    The model is loaded as its server loads it: fetched, its certificate verified, then unpickled.
    Without a champion the run is skipped.

    Example::

        BatchScoringOperator(task_id="score", use_case="flight_delay")

    :param use_case: a declared use case
    """

    operator_extra_links = ()

    def execute(self, context: Context) -> str:
        """Return the path of the staged predictions."""
        from include.modeling.batch_scoring import score_batch, score_summary
        from include.modeling.registry import load_version
        from include.release import rollout

        with self.engine.connect() as connection:
            version = rollout.read_state(connection, self.use_case).champion
        if version is None:
            raise AirflowSkipException(f"{self.use_case} has no champion yet: nothing to score with.")
        hook, use_case = LakeHook(self.lake_conn_id), catalog().use_cases[self.use_case]
        view, trusted = catalog().feature_views[use_case.feature_view], settings().trusted_keys
        frame = hook.lake.read(use_case.feature_view, run_context.run_days(context))
        with self.workspace() as site:
            held = load_version.load_version(
                site.registry, self.use_case, version, folder=site.workdir / "model", trusted=trusted
            )
            scored = score_batch(use_case, view, held.model, frame, version=version)
        figures = {"rows": len(scored), "version": version} | score_summary(scored)
        context["ti"].xcom_push("figures", figures)
        return hook.staging.write(run_context.attempt_key(context), "predictions", scored)
