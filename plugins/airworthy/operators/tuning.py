"""Operator that tunes the parameters of a model."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator, fails_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class TuneModelOperator(ModelOperator):
    """
    Search for the best parameters as `tuning` of the use case declares, on days before the test days.

    The XCom holds the chosen parameters, the metric, its score and the number of trials; `TrainModelOperator`
    takes it as `tuned`. Each trial is a child of the MLflow run of this DAG run. A retry does not repeat
    trials that have ended. An experiment with parameters of its own has no trials.

    Example::

        TuneModelOperator(task_id="tune", use_case="delay_band", snapshot=snapshot.output)

    :param use_case: a declared use case, with `tuning`
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    """

    @fails_run
    def execute(self, context: Context) -> dict[str, Any]:
        """Tune the use case and return the result."""
        from include.data.snapshots import snapshot as snapshots
        from include.data.snapshots.determination import require_undetermined
        from include.modeling.registry.provenance import current_provenance
        from include.modeling.registry.run_outcome import reopen_run
        from include.modeling.training.build import estimator_builder
        from include.modeling.tuning.search import tune

        experiment = run_context.experiment(context)
        if experiment is not None and experiment.parameters:
            return {"parameters": dict(experiment.parameters), "trials": 0}
        snapshot = self.snapshot_taken()
        use_case = self.specified_use_case()
        build = estimator_builder(self.use_case)
        provenance = current_provenance(json.loads(self.snapshot), use_case)
        with self.workspace() as site:
            run_id = site.registry.run_for(
                self.use_case, run_context.tags(context, use_case, snapshot, provenance)
            )
            self.candidate = {"run_id": run_id}
            reopen_run(site.registry, run_id)
            frame = snapshots.read_snapshot(use_case, snapshot, LakeHook(self.lake_conn_id).lake)
            # The training would refuse these rows: do not search for its parameters.
            require_undetermined(use_case, frame)
            result = tune(site, build, frame, run_id=run_id, provenance=provenance, engine=self.engine)
        return asdict(result)
