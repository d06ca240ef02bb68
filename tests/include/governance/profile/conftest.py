from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.data.lake.partition_columns import DAY

DAYS = [date(2013, 7, 1) + timedelta(days=number) for number in range(4)]
ROWS = 40


@pytest.fixture
def arrivals(lake):
    """Publish four days of arrivals, whose delay grows with the time in the air."""
    return publish_days(lake, "arrivals", lambda rng, ids: {"flight_id": ids, **delays(rng)})


@pytest.fixture
def features(lake, arrivals):
    """Publish features of the same flights; the distance follows the delay, half of `temp` is missing."""
    labels = lake.read("arrivals").set_index("flight_id")["arr_delay"]

    def make(rng, ids):
        delay = labels.loc[ids].to_numpy()
        temp = np.where(np.arange(ROWS) % 2 == 0, np.nan, 20.0)
        carrier = np.where(delay > 15, "late", "punctual")
        return {"flight_id": ids, "distance": delay + 1000, "temp": temp, "carrier": carrier, "weekday": 1}

    return publish_days(lake, "flight_features", make)


def delays(rng):
    air_time = rng.uniform(50, 300, ROWS)
    return {"air_time": air_time, "arr_delay": air_time / 5 - 20, "dep_delay": 0.0}


def publish_days(lake, table, make):
    rng = np.random.default_rng(0)
    for day in DAYS:
        ids = [f"{day}-{number}" for number in range(ROWS)]
        lake.publish(table, pd.DataFrame(make(rng, ids) | {DAY: str(day)}), [day], metadata={})
    return lake
