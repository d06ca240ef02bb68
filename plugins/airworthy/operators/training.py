"""Operators of snapshot, training and evaluation."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.lineage_events import ReportsLineage
from airworthy.operators.base import ModelOperator, fails_run
from include.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.data.snapshots.snapshot import Snapshot
    from include.declarations import UseCase
    from include.declarations.experiments import Experiment


class TakeSnapshotOperator(ModelOperator):
    """
    Take the snapshot of the exact rows that a training uses; the XCom is the snapshot, as JSON.

    It holds how complete its labels are and which days have too few; PostgreSQL keeps it for lineage.
    A nightly run without newer rows than those of the champion, and without a change of what is declared, is
    skipped. In an experiment, the snapshot has its features and days, and all later tasks read them there.

    Example::

        TakeSnapshotOperator(task_id="snapshot", use_case="flight_delay", as_of="2013-07-01")

    :param use_case: a declared use case
    :param as_of: day before which the data ends (templated); empty: the newest day with labels.
        A backfilled run is as of its own date.
    """

    template_fields: Sequence[str] = ("use_case", "as_of")

    def __init__(self, *, as_of: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of

    def execute(self, context: Context) -> str:
        """Return the snapshot."""
        from include.data.snapshots import records
        from include.data.snapshots import snapshot as snapshots

        use_case = catalog().use_cases[self.use_case]
        experiment = run_context.experiment(context)
        if experiment is not None:
            use_case = self._changed(use_case, experiment)
        lake = LakeHook(self.lake_conn_id).lake
        if run_context.is_scheduled(context):
            for table in (*use_case.feature_views, use_case.label.dataset):
                if lake.version(table) is None:
                    raise AirflowSkipException(
                        f"{table} was never published: there are no rows to learn from."
                    )
        first_day = experiment.first_day if experiment else None
        as_of = run_context.as_of(context, self.as_of)
        snapshot = snapshots.create(use_case, lake, as_of, first_day=first_day)
        if run_context.is_scheduled(context):
            self._skip_without_news(snapshot)
        records.record_snapshot(self.engine, snapshot, run=run_context.dag_run_key(context))
        self.log.info(
            "%d rows of %s; %.1f %% of their labels have landed; days excluded for too few labels: %s",
            snapshot.rows,
            " to ".join(snapshot.days),
            100 * (snapshot.completeness or 0),
            ", ".join(snapshot.excluded_days) or "none",
        )
        return snapshot.to_json()

    def _changed(self, use_case: UseCase, experiment: Experiment) -> UseCase:
        """Return the use case of an experiment, whose features exist."""
        dropped = experiment.dropped_gates(use_case)
        if dropped:
            self.log.warning("Gates that need a feature which is left out: %s", ", ".join(dropped))
        changed = experiment.changed(use_case)
        catalog().check_features(changed)
        return changed

    def _skip_without_news(self, snapshot: Snapshot) -> None:
        from include.release import rollout

        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion is None:
            return
        tags = self.mlflow.registry.tags_of(self.use_case, champion)
        specified = snapshot.specification.digest if snapshot.specification else None
        # Versions of earlier certificates have no digest of their specification.
        if tags.get("airworthy.snapshot.specification", specified) != specified:
            return
        if tags.get("airworthy.snapshot.digest") == snapshot.digest:
            raise AirflowSkipException(
                f"There are no newer rows than those that version {champion} learned from."
            )


class TrainModelOperator(ReportsLineage, ModelOperator):
    """
    Train the use case's estimator on a snapshot, in the one MLflow run of this DAG run.

    The XCom names the model: run, model id and digest. Parameters of an experiment come before tuned ones.

    Example::

        TrainModelOperator(task_id="train", use_case="flight_delay", snapshot=snapshot.output)

    :param use_case: a declared use case
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param tuned: what `TuneModelOperator` returned (templated); without it, `build_model()` has its defaults
    """

    template_fields: Sequence[str] = (*ModelOperator.template_fields, "tuned")

    def __init__(self, *, tuned: dict[str, Any] | XComArg | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tuned: Any = tuned

    @fails_run
    def execute(self, context: Context) -> dict[str, Any]:
        """Return the reference to the trained model."""
        from include.data.snapshots import snapshot as snapshots
        from include.modeling.pipeline.train import train_candidate
        from include.modeling.registry.provenance import current_provenance
        from include.modeling.registry.run_outcome import reopen_run
        from include.modeling.training.build import build_estimator, estimator_builder

        use_case = self.specified_use_case()
        snapshot = self.snapshot_taken()
        experiment = run_context.experiment(context)
        parameters = dict(self.tuned["parameters"]) if self.tuned else {}
        if experiment is not None:
            parameters |= experiment.parameters
        inputs = replace(current_provenance(json.loads(self.snapshot), use_case), parameters=parameters)
        self.report_lineage(inputs=self.snapshot_tables(snapshot))
        with self.workspace() as workspace:
            tags = run_context.tags(context, use_case, snapshot, inputs)
            run_id = workspace.registry.run_for(self.use_case, tags)
            self.candidate = {"run_id": run_id}
            reopen_run(workspace.registry, run_id)
            frame = snapshots.read_snapshot(use_case, snapshot, LakeHook(self.lake_conn_id).lake)
            estimator = build_estimator(self.use_case, estimator_builder(self.use_case), parameters)
            candidate = train_candidate(workspace, estimator, frame, run_id=run_id, provenance=inputs)
        return asdict(candidate)


class EvaluateModelOperator(ModelOperator):
    """
    Evaluate a trained model and the champion on the same rows, later than those of the training.

    The XCom is the evidence, figures only; evidence and plots are logged with the MLflow run.

    Example::

        EvaluateModelOperator(task_id="evaluate", use_case="flight_delay", snapshot=…, candidate=train.output)

    :param use_case: a declared use case
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param candidate: what `TrainModelOperator` returned (templated)
    """

    @fails_run
    def execute(self, context: Context) -> dict[str, Any]:
        """Return the evidence."""
        evidence = self.evaluate(context)
        for part, metrics in evidence.metrics.items():
            figures = ", ".join(f"{name} {value:.5g}" for name, value in metrics.items())
            self.log.info("%d %s rows: %s", evidence.rows[part], part, figures)
        return evidence.model_dump(mode="json")
