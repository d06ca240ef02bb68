"""A year without any fault: 365 daily windows of drift and quality, and 8,760 hours of service levels."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.bench.database import temporary_database
from tests.bench.figures import Figure
from tests.bench.service_world import HISTORY, HOUR, ServiceWorld
from tests.bench.world import FIRST, TRAINING_DAYS, Timeline, World

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

    from tests.bench.rig import Rig

DAYS = 365
HOURS = 8_760
# After which a new lake begins, so that a day costs the same at the end of the year.
DAYS_OF_LAKE = 30


def quiet_year_false_alarms(rig: Rig) -> Figure:
    """Return how many decisions other than `nothing` a year without a fault has."""
    with temporary_database(rig.folder / "quiet") as database:
        daily = count_daily(rig.folder / "lakes", database, DAYS)
    with temporary_database(rig.folder / "served") as database:
        hourly = count_hourly(database, HOURS)
    counts = daily + hourly
    alarms = counts.total() - counts["nothing"] - sum(counts[name] for name in counts if "fired" in name)
    how = (
        f"{DAYS} days of 400 rows: {_describe(daily)}; {HOURS:,} hours of 120 requests, of which 1 in 10,000 "
        f"fails: {_describe(hourly)}"
    )
    return Figure("quiet_year_false_alarms", alarms, "alarms", "0", how)


def _describe(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))


def count_daily(folder: Path, database: Engine, days: int) -> Counter[str]:
    """Return the decisions of quiet days, and the signals that fired without a decision."""
    world = World(folder, database)
    counts: Counter[str] = Counter()
    first = FIRST + timedelta(days=TRAINING_DAYS + 1)
    for number in range(days):
        if number % DAYS_OF_LAKE == 0:
            world.begin(f"quiet-{number}")
        decision = world.live(Timeline(), first + timedelta(days=number), number)
        counts[decision.action] += 1
        counts.update(f"{name} fired" for name in decision.evidence["fired"])
    return counts


def count_hourly(database: Engine, hours: int) -> Counter[str]:
    """Return the decisions of quiet hours, after three weeks of the same."""
    world = ServiceWorld(database, history=HISTORY + hours * HOUR)
    first = world.now - hours * HOUR
    counts: Counter[str] = Counter()
    for number in range(1, hours + 1):
        world.now = first + number * HOUR
        counts[world.check().action] += 1
    return counts
