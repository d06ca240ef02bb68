"""Fix the data, train on it, measure what came of it, and let its gates speak."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from airworthy import run_context
from airworthy.hooks.lake import LakeHook
from airworthy.operators.base import ModelOperator
from include.catalog import catalog, declaration_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, XComArg

    from include.data.snapshots.snapshot import Snapshot


class TakeSnapshotOperator(ModelOperator):
    """
    Name the exact rows that a training may use; the XCom is the snapshot, as JSON.

    It says how complete its labels are and which days had too few; it is kept in PostgreSQL for lineage.
    A nightly run that finds nothing newer than what the champion learned from is skipped.

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

        use_case, lake = catalog().use_cases[self.use_case], LakeHook(self.lake_conn_id).lake
        tables = (use_case.feature_view, use_case.label.dataset)
        absent = [table for table in tables if lake.version(table) is None]
        if run_context.is_scheduled(context) and absent:
            raise AirflowSkipException(f"{absent[0]} was never published: nothing to learn from.")
        snapshot = snapshots.create(use_case, lake, run_context.as_of(context, self.as_of))
        if run_context.is_scheduled(context):
            self._require_news(snapshot)
        records.record_snapshot(self.engine, snapshot, run=run_context.dag_run_key(context))
        self._tell(snapshot)
        return snapshot.to_json()

    def _tell(self, snapshot: Snapshot) -> None:
        self.log.info(
            "%d rows of %s; %.1f %% of their labels have landed; days left out for too few labels: %s",
            snapshot.rows,
            " to ".join(snapshot.days),
            100 * (snapshot.completeness or 0),
            ", ".join(snapshot.excluded_days) or "none",
        )

    def _require_news(self, snapshot: Snapshot) -> None:
        from include.release import rollout

        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
        if champion is None:
            return
        known = self.mlflow.registry.tags_of(self.use_case, champion).get("airworthy.snapshot.digest")
        if known == snapshot.digest:
            raise AirflowSkipException(f"Nothing is newer than what version {champion} learned from.")


class TrainModelOperator(ModelOperator):
    """
    Train the use case's estimator on a snapshot, in the one MLflow run of this DAG run.

    The XCom names the model: run, model id and digest.

    Example::

        TrainModelOperator(task_id="train", use_case="flight_delay", snapshot=snapshot.output)

    :param use_case: a declared use case
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param tuned: what `TuneModelOperator` returned (templated); left out, `build_model()` has its defaults
    """

    template_fields: Sequence[str] = (*ModelOperator.template_fields, "tuned")

    def __init__(self, *, tuned: dict[str, Any] | XComArg | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tuned: Any = tuned

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the reference to the trained model."""
        from include.data.snapshots import snapshot as snapshots
        from include.modeling.pipeline.train import train_candidate
        from include.modeling.registry.provenance import current_provenance

        snapshot, use_case = self.snapshot_taken(), catalog().use_cases[self.use_case]
        parameters = self.tuned["parameters"] if self.tuned else {}
        about = replace(current_provenance(json.loads(self.snapshot)), parameters=parameters)
        with self.workspace() as site:
            run_id = site.registry.run_for(
                self.use_case, run_context.tags(context, use_case, snapshot, about)
            )
            self.candidate = {"run_id": run_id}
            frame = snapshots.read_snapshot(use_case, snapshot, LakeHook(self.lake_conn_id).lake)
            estimator = declaration_module("use_cases", self.use_case).build_model(**parameters)
            trained = train_candidate(site, estimator, frame, run_id=run_id, provenance=about)
        return asdict(trained)


class EvaluateModelOperator(ModelOperator):
    """
    Measure a trained model on rows from the future of its training, and the champion on the same rows.

    The XCom is the evidence, figures only; the whole of it stays with the MLflow run.

    Example::

        EvaluateModelOperator(task_id="evaluate", use_case="flight_delay", snapshot=…, candidate=train.output)

    :param use_case: a declared use case
    :param snapshot: what `TakeSnapshotOperator` returned (templated)
    :param candidate: what `TrainModelOperator` returned (templated)
    """

    def execute(self, context: Context) -> dict[str, Any]:
        """Return the evidence."""
        from include.data.snapshots import leakage_history
        from include.data.snapshots import snapshot as snapshots
        from include.database import ledger
        from include.modeling.pipeline.evaluate import evaluate_candidate
        from include.release import rollout

        use_case, lake = catalog().use_cases[self.use_case], LakeHook(self.lake_conn_id).lake
        snapshot, attempt = self.snapshot_taken(), self.attempt(context)
        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.use_case).champion
            refusals = ledger.refusals_since_promotion(connection, self.use_case, attempt=attempt)
        known: dict[str, Any] = {"champion_version": champion, "refusals": refusals}
        known["leakage"] = leakage_history.of_snapshot(self.engine, lake, snapshot)
        frame = snapshots.read_snapshot(use_case, snapshot, lake)
        with self.workspace() as site:
            found = evaluate_candidate(site, self.candidate_trained(), frame, **known)
        return found.model_dump(mode="json")
