"""What the tasks of a backfilled day do themselves, in one warm process without a scheduler."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

from include import partitions
from include.catalog import catalog, declaration_module
from include.data.feature_store.client import materialise
from include.data.features import build as features
from include.data.features import leakage_check
from include.data.lake.delta_tables import Lake
from include.data.quality_gate import run_quality_gate
from include.data.sources.files import Landing
from include.data.validation import gate_results
from include.database.tables import connect
from include.settings import settings
from include.storage.staging import Staging


class Tasks:
    """The core calls of the ingestion and features DAGs, with the frames that travel between their tasks."""

    def __init__(self) -> None:
        self.lake, self.staging = Lake(settings().lake_uri), Staging(settings().lake_uri)
        self.landing, self.engine = Landing(settings().landing_uri), connect(settings().database_url)

    def ingest(self, day: date) -> None:
        """Do what the ingestion DAG of each dataset does for a day."""
        for dataset in catalog().datasets.values():
            rows = self.landing.read(dataset, [day]).rows
            self._admit_and_publish(dataset, self._handed_on(dataset.name, rows), day)

    def compute(self, day: date) -> None:
        """Do what the DAG of each feature view does for a day."""
        for view in catalog().feature_views.values():
            build, run = declaration_module("features", view.name).build, self._run(view.name, day)
            rows = self._handed_on(view.name, features.build_features(view, build, self.lake, [day]))
            found = leakage_check.check_leakage(view, build, self.lake, rows, [day])
            gate_results.record_gate_result(
                self.engine, view.name, run, partitions.format_partition(day), found.results()
            )
            self._admit_and_publish(view, rows, day)
            if view.online:
                materialise(view, self.lake, self.engine.url, [day])

    def _admit_and_publish(self, declared: Any, rows: Any, day: date) -> None:
        run = self._run(declared.name, day)
        report = run_quality_gate(declared, rows, [day], lake=self.lake, engine=self.engine, run=run)
        report.raise_if_failed(declared.name)
        accepted = self._handed_on(f"{declared.name}_accepted", report.accepted)
        self.lake.publish(declared.name, accepted, [day], metadata={"run": run, "try": "1"})

    def _handed_on(self, step: str, frame: Any) -> Any:
        return self.staging.read(self.staging.write("bench", step, frame))

    def _run(self, name: str, day: date) -> str:
        return f"bench/{name}/{day}"


def daily(*, first: str, days: int) -> dict[str, Any]:
    """Make these days again, and return the seconds of a core and of the clock that each took."""
    tasks, start = Tasks(), date.fromisoformat(first)
    tasks.ingest(start)  # whatever is imported or connected once
    tasks.compute(start)
    core, clock = time.process_time(), time.perf_counter()
    for number in range(days):
        tasks.ingest(start + timedelta(days=number))
        tasks.compute(start + timedelta(days=number))
    return {
        "core_seconds": (time.process_time() - core) / days,
        "seconds": (time.perf_counter() - clock) / days,
    }
