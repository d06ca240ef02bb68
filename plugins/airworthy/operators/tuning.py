"""Choose the parameters that a model is trained with."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator
from include.catalog import catalog, declaration_module

if TYPE_CHECKING:
    from airflow.sdk import Context


class TuneModelOperator(ModelOperator):
    """
    Try parameters as `tuning` of the use case says, on days before the test days.

    The XCom holds what was chosen: parameters, metric, score and the number of trials. Each trial is a child
    of this DAG run's MLflow run. Killed and tried again, trials that had ended are not measured anew.
    `TrainModelOperator` takes the XCom as `tuned`.

    Example::

        TuneModelOperator(task_id="tune", use_case="delay_band", snapshot=snapshot.output)

    :param use_case: a declared use case, with `tuning`
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return what was chosen."""
        from include.data.snapshots import snapshot as snapshots
        from include.modeling.registry.provenance import current_provenance
        from include.modeling.tuning.search import tune

        snapshot, use_case = self.snapshot_taken(), catalog().use_cases[self.use_case]
        build = declaration_module("use_cases", self.use_case).build_model
        about = current_provenance(json.loads(self.snapshot))
        with self.workspace() as site:
            run_id = site.registry.run_for(
                self.use_case, run_context.tags(context, use_case, snapshot, about)
            )
            self.candidate = {"run_id": run_id}
            frame = snapshots.read_snapshot(use_case, snapshot, LakeHook(self.lake_conn_id).lake)
            tuned = tune(site, build, frame, run_id=run_id, provenance=about, engine=self.engine)
        return asdict(tuned)
