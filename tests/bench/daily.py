"""The core calls of the tasks of a backfilled day, in one warm process without a scheduler."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from include import partitions
from include.catalog import catalog, declaration_module
from include.data.feature_store.client import materialise_view
from include.data.features import build as features
from include.data.features import leakage_check
from include.data.lake.delta_tables import Lake
from include.data.lake.dtypes import to_frame
from include.data.quality_gate import run_quality_gate
from include.data.sources.files import Landing
from include.data.validation import gate_results
from include.database.tables import connect
from include.settings import settings
from include.storage.staging import Staging

if TYPE_CHECKING:
    from collections.abc import Mapping


def daily_declarations(declared: Mapping[str, Any]) -> list[Any]:
    """Return the datasets or feature views that have one partition a day."""
    return [declaration for declaration in declared.values() if declaration.granularity == "day"]


class Tasks:
    """The core calls of the ingestion and features DAGs, with the frames that travel between their tasks."""

    def __init__(self) -> None:
        self.lake = Lake(settings().lake_uri)
        self.staging = Staging(settings().lake_uri)
        self.landing = Landing(settings().landing_uri)
        self.engine = connect(settings().database_url)

    def ingest(self, day: date) -> None:
        """Run the core calls of the ingestion DAGs for a day."""
        for dataset in daily_declarations(catalog().datasets):
            rows = to_frame(self.landing.read(dataset, [day]).table)
            self._check_and_publish(dataset, self._stage(dataset.name, rows), day)

    def compute(self, day: date) -> None:
        """Run the core calls of the feature DAGs for a day."""
        for view in daily_declarations(catalog().feature_views):
            build = declaration_module("features", view.name).build
            run = self._run(view.name, day)
            rows = self._stage(view.name, features.build_features(view, build, self.lake, [day]))
            leakage = leakage_check.check_leakage(view, build, self.lake, rows, [day])
            gate_results.record_gate_result(
                self.engine, view.name, run, partitions.format_partition(day), leakage.results()
            )
            self._check_and_publish(view, rows, day)
            if view.online:
                materialise_view(view, self.lake, self.engine.url, [day])

    def _check_and_publish(self, declared: Any, rows: Any, day: date) -> None:
        run = self._run(declared.name, day)
        report = run_quality_gate(declared, rows, [day], lake=self.lake, engine=self.engine, run=run)
        report.raise_if_failed(declared.name)
        accepted = self._stage(f"{declared.name}_accepted", report.accepted)
        self.lake.publish(declared.name, accepted, [day], metadata={"run": run, "try": "1"})

    def _stage(self, step: str, frame: Any) -> Any:
        return self.staging.read(self.staging.write("bench", step, frame))

    def _run(self, name: str, day: date) -> str:
        return f"bench/{name}/{day}"


def daily(*, first: str, days: int) -> dict[str, Any]:
    """Rebuild these days and return the seconds of a core and of the clock per day."""
    tasks = Tasks()
    start = date.fromisoformat(first)
    # The first day warms up: it pays for imports and connections.
    tasks.ingest(start)
    tasks.compute(start)
    core = time.process_time()
    clock = time.perf_counter()
    for number in range(days):
        tasks.ingest(start + timedelta(days=number))
        tasks.compute(start + timedelta(days=number))
    return {
        "core_seconds": (time.process_time() - core) / days,
        "seconds": (time.perf_counter() - clock) / days,
    }
