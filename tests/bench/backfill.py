"""The speed of backfills."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from include.catalog import catalog
from include.errors import ServiceUnavailable
from include.stack.demo.flights_feed import land
from tests.bench.daily import daily_declarations
from tests.bench.figures import Figure
from tests.bench.rig import LAST

if TYPE_CHECKING:
    from tests.bench.rig import Rig

DAYS = 31
# Days of the comparison in one process.
SAMPLE_DAYS = 10
BACKFILL_TIMEOUT_S = 900.0
POLL_INTERVAL_S = 0.5


def backfill_partitions_per_minute(rig: Rig) -> Figure:
    """Backfill every daily dataset through Airflow and wait until the features of each day are built."""
    first = LAST + timedelta(days=1)
    last = LAST + timedelta(days=DAYS)
    land(rig.stack.landing_uri, last + timedelta(days=1))
    names = sorted(dataset.name for dataset in daily_declarations(catalog().datasets))
    views = daily_declarations(catalog().feature_views)
    began = time.monotonic()
    backfills = [rig.airflow.backfill(f"{name}_ingestion", first, last) for name in names]
    expected = {str(first + timedelta(days=day)) for day in range(DAYS)}
    states: dict[str, str] = {}
    while set(states) != expected or set(states.values()) != {"success"}:
        if "failed" in states.values() or time.monotonic() - began > BACKFILL_TIMEOUT_S:
            raise ServiceUnavailable(
                f"The backfills {backfills} did not succeed within {BACKFILL_TIMEOUT_S:g} s: {states}"
            )
        time.sleep(POLL_INTERVAL_S)
        states = _feature_states(rig, expected)
    seconds = time.monotonic() - began
    partitions = DAYS * (len(names) + len(views))
    core_s = DAYS * rig.bare.ask("daily", first=str(first), days=SAMPLE_DAYS)["core_seconds"]
    cores = os.cpu_count() or 1
    return Figure(
        "backfill_partitions_per_minute",
        60 * partitions / seconds,
        "1/min",
        "",
        f"{DAYS} days of {len(names)} datasets through POST /backfills, and the features that followed: "
        f"{partitions} partitions in {seconds:.0f} s on {cores} cores. Of {seconds * cores:.0f} core seconds "
        f"the work of the tasks takes {core_s:.0f} ({core_s / seconds / cores:.0%}; {SAMPLE_DAYS} days "
        "rebuilt in one warm process); the rest is Airflow's: scheduling, a process per task, API, database, "
        "waiting",
    )


def _feature_states(rig: Rig, expected: set[str]) -> dict[str, str]:
    """Return the state of the newest run of each expected partition of the feature views."""
    states = {}
    for view in daily_declarations(catalog().feature_views):
        for run in rig.airflow.runs(f"{view.name}_features"):
            if run["partition_key"] in expected:
                states[run["partition_key"]] = run["state"]
    return states
