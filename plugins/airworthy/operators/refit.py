"""Operator of the final refit."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator, fails_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class RefitModelOperator(ModelOperator):
    """
    Fit a candidate that passed its gates again on all labelled rows, if that is shown to be no worse.

    The XCom is the result as JSON: the model to register, which is the candidate itself if the refit is
    refused, and the verdicts. A retry finds the result of an earlier try.

    Example::

        RefitModelOperator(task_id="refit", use_case="flight_delay", snapshot=…, candidate=train.output)

    :param use_case: a declared use case with a `training.final_refit`
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param candidate: what `TrainModelOperator` returned (templated)
    """

    @fails_run
    def execute(self, context: Context) -> str:
        """Return the result of the refit."""
        from include.data.snapshots import snapshot as snapshots
        from include.data.snapshots.version_rows import version_rows
        from include.modeling.pipeline.refit import RefitInputs, refit_candidate
        from include.modeling.registration.register import training_provenance
        from include.modeling.registry.provenance import current_provenance
        from include.modeling.training.build import build_estimator, estimator_builder
        from include.release import rollout

        if run_context.experiment(context) is not None:
            raise AirflowSkipException("An experiment is not registered, so it is not fitted again.")
        candidate = self.candidate_trained()
        snapshot = self.snapshot_taken()
        lake = LakeHook(self.lake_conn_id).lake
        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        registry = self.mlflow.registry
        recorded = training_provenance(registry, candidate, current_provenance(json.loads(self.snapshot)))
        build = partial(build_estimator, self.use_case, estimator_builder(self.use_case), recorded.parameters)
        with self.workspace() as workspace:
            frame = snapshots.read_snapshot(workspace.use_case, snapshot, lake)
            result = refit_candidate(
                RefitInputs(workspace, candidate, build, frame, recorded),
                champion_version=champion,
                read_rows=lambda specification, test: version_rows(specification, snapshot, lake, test),
            )
        for verdict in result.verdicts:
            self.log.info("%s: %s: %s", verdict.gate, verdict.outcome, verdict.reason)
        return result.to_json()
