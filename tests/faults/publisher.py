"""A process that publishes one day after another until it is killed."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pandas as pd

from include.data.lake.delta_tables import Lake

FIRST = date(2013, 1, 1)
DAYS = [FIRST + timedelta(days=number) for number in range(3)]
ROWS = 2_000


def rows(day: date, mark: str) -> pd.DataFrame:
    names = [f"{day}/{number}" for number in range(ROWS)]
    return pd.DataFrame({"id": names, "mark": mark, "_airworthy_day": day.isoformat()})


def publish_until_killed(uri: str, options: dict[str, str], run: str) -> None:
    """Publish the days in turn; each publication has its own try number."""
    lake = Lake(uri, options)
    for number in itertools.count(1):
        day = DAYS[number % len(DAYS)]
        lake.publish("things", rows(day, f"{run}/{number}"), [day], metadata={"run": run, "try": str(number)})
