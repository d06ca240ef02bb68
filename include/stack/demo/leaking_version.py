"""`python -m include.stack.demo.leaking_version DAY RUN`: train, judge and register the leaking model."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.data.snapshots import leakage_history, records
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.version_rows import version_rows
from include.database import ledger
from include.database.ledger import Entry
from include.database.tables import connect
from include.errors import GateFailed
from include.modeling import gates
from include.modeling.evaluation.context import DataHistory
from include.modeling.pipeline.evaluate import evaluate_candidate
from include.modeling.pipeline.train import train_candidate
from include.modeling.pipeline.workspace import Workspace
from include.modeling.registration import register
from include.modeling.registry.provenance import current_provenance
from include.modeling.registry.registry import Registry
from include.release import rollout
from include.settings import settings
from include.stack.demo.leaking_model import LeakingModel
from include.use_cases.flight_delay import CATEGORIES, USE_CASE

if TYPE_CHECKING:
    from include.modeling.evaluation.evidence import Evidence
    from include.modeling.pipeline.workspace import TrainedCandidate

ACTOR = "demo"


class LeakingTraining:
    """
    One training of the leaking model, by the steps of the training DAG.

    Parameters
    ----------
    as_of
        Day before which the data ends.
    run
        Key of this training in MLflow and in the ledger.
    """

    def __init__(self, as_of: date, run: str) -> None:
        self.run = run
        self.name = USE_CASE.name
        self.engine = connect(settings().database_url)
        self.registry = Registry(settings().mlflow_uri, self.engine)
        self.lake = Lake(settings().lake_uri)
        declared = catalog().use_cases[self.name]
        # Its class is packaged with the model, so that a model server needs no module of the demo.
        self.use_case = declared.model_copy(update={"code": (*declared.code, LeakingModel.__module__)})
        self.snapshot = snapshots.create(self.use_case, self.lake, as_of)
        records.record_snapshot(self.engine, self.snapshot, run=run)

    def execute(self) -> dict[str, Any]:
        """Return the verdicts of the gates, and the registered version, or None and why it was refused."""
        provenance = current_provenance(json.loads(self.snapshot.to_json()), self.use_case)
        with TemporaryDirectory(prefix="leaking-") as folder:
            workspace = Workspace(
                self.registry,
                self.use_case,
                Path(folder),
                settings().signing_key.parent,
                frozen=self.snapshot.specification,
            )
            frame = snapshots.read_snapshot(self.use_case, self.snapshot, self.lake)
            estimator = LeakingModel(CATEGORIES)
            run_id = self._start_run()
            candidate = train_candidate(workspace, estimator, frame, run_id=run_id, provenance=provenance)
            evidence = self._evaluate(workspace, candidate, frame)
            verdicts = gates.judge_gates(self.use_case, evidence)
            register.record_verdicts(workspace, candidate, verdicts, evidence)
            result: dict[str, Any] = {"version": None, "verdicts": [asdict(verdict) for verdict in verdicts]}
            try:
                version = register.register_candidate(
                    workspace, candidate, verdicts, evidence=evidence, provenance=provenance
                )
            except GateFailed as refusal:
                return result | {"refusal": str(refusal)}
            self._log_registration(version, candidate)
        return result | {"version": version}

    def _start_run(self) -> str:
        tags = {"airworthy.dag": ACTOR, "airworthy.run": self.run, "airworthy.partition": ""}
        return self.registry.run_for(self.name, tags | {"airworthy.use_case": self.name})

    def _evaluate(self, workspace: Workspace, candidate: TrainedCandidate, frame: Any) -> Evidence:
        with self.engine.connect() as connection:
            champion = rollout.read_state(connection, self.name).champion
            refusals = ledger.refusals_since_promotion(connection, self.name)
        return evaluate_candidate(
            workspace,
            candidate,
            frame,
            champion_version=champion,
            refusals=refusals,
            history=DataHistory(leakage_history.of_snapshot(self.engine, self.lake, self.snapshot)),
            read_rows=lambda specification, test: version_rows(specification, self.snapshot, self.lake, test),
        )

    def _log_registration(self, version: int, candidate: TrainedCandidate) -> None:
        facts = {"run_id": candidate.run_id, "digest": candidate.digest}
        entry = Entry(
            self.name,
            "registered",
            ACTOR,
            "all blocking gates passed",
            version,
            facts,
            f"{self.run}/register",
        )
        with self.engine.begin() as connection:
            ledger.append(connection, entry)


if __name__ == "__main__":
    # MLflow prints to the standard output, which carries the result.
    output = sys.stdout
    sys.stdout = sys.stderr
    day, key = sys.argv[1:]
    output.write(json.dumps(LeakingTraining(date.fromisoformat(day), key).execute()))
