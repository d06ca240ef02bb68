"""How fast the past is made anew."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.errors import ServiceUnavailable
from include.stack.demo.flights_feed import land
from tests.bench.figures import Figure
from tests.bench.rig import LAST

if TYPE_CHECKING:
    from tests.bench.rig import Rig

DAYS, SAMPLE = 31, 10
PATIENCE = 900.0


def backfill_partitions_per_minute(rig: Rig) -> Figure:
    """Backfill every dataset through Airflow's API, and wait until the features of each day followed."""
    first, last = LAST + timedelta(days=1), LAST + timedelta(days=DAYS)
    land(rig.stack.landing_uri, last + timedelta(days=1))
    api, names = rig.airflow, sorted(catalog().datasets)
    began, end = time.monotonic(), time.monotonic() + PATIENCE
    backfills = [api.backfill(f"{name}_ingestion", first, last) for name in names]
    wanted = {str(first + timedelta(days=day)) for day in range(DAYS)}
    while True:
        runs = [run for view in catalog().feature_views for run in api.runs(f"{view}_features")]
        states = {run["partition_key"]: run["state"] for run in runs if run["partition_key"] in wanted}
        if set(states) == wanted and set(states.values()) == {"success"}:
            break
        if "failed" in states.values() or time.monotonic() > end:
            raise ServiceUnavailable(
                f"The backfills {backfills} did not end well within {PATIENCE:g} s: {states}"
            )
        time.sleep(0.5)
    seconds = time.monotonic() - began
    partitions = DAYS * (len(names) + len(catalog().feature_views))
    ours = DAYS * rig.bare.ask("daily", first=str(first), days=SAMPLE)["core_seconds"]
    cores = os.cpu_count() or 1
    return Figure(
        "backfill_partitions_per_minute",
        60 * partitions / seconds,
        "1/min",
        "",
        f"{DAYS} days of {len(names)} datasets through POST /backfills, and the features that followed: "
        f"{partitions} partitions in {seconds:.0f} s on {cores} cores. Of {seconds * cores:.0f} core seconds "
        f"our tasks' own work takes {ours:.0f} ({ours / seconds / cores:.0%}; {SAMPLE} days made again in "
        "one warm process); the rest is Airflow's: scheduling, a process per task, API, database, waiting",
    )
