"""`python -m tests.bench.seed FIRST LAST`: flights and their features, straight into the lake."""

from __future__ import annotations

import sys
from datetime import timedelta

from include import partitions
from include.catalog import catalog, declaration_module
from include.data.features import build as features
from include.data.features import leakage_check
from include.data.lake.delta_tables import Lake
from include.data.lake.dtypes import to_frame
from include.data.quality_gate import run_quality_gate
from include.data.sources.files import Landing
from include.data.validation import gate_results
from include.database.tables import connect
from include.settings import settings
from include.stack.demo.flights_feed import land
from tests.bench.daily import daily_declarations

RUN = "bench/seed"


def main(first: str, last: str) -> None:
    """Publish the days as the ingestion and feature DAGs do."""
    days = partitions.parse_key(f"{first}..{last}")
    land(settings().landing_uri, days[-1] + timedelta(days=1))
    lake = Lake(settings().lake_uri)
    landing = Landing(settings().landing_uri)
    engine = connect(settings().database_url)
    for dataset in daily_declarations(catalog().datasets):
        report = run_quality_gate(
            dataset,
            to_frame(landing.read(dataset, days).table),
            days,
            lake=lake,
            engine=engine,
            run=f"{RUN}/1",
        )
        report.raise_if_failed(dataset.name)
        lake.publish(dataset.name, report.accepted, days, metadata={})
    for view in daily_declarations(catalog().feature_views):
        build = declaration_module("features", view.name).build
        rows = features.build_features(view, build, lake, days)
        leakage = leakage_check.check_leakage(view, build, lake, rows, days)
        gate_results.record_gate_result(engine, view.name, f"{RUN}/1", f"{first}..{last}", leakage.results())
        report = run_quality_gate(view, rows, days, lake=lake, engine=engine, run=f"{RUN}/1")
        report.raise_if_failed(view.name)
        lake.publish(view.name, report.accepted, days, metadata={"run": RUN, "try": "1"})


if __name__ == "__main__":
    main(*sys.argv[1:])
