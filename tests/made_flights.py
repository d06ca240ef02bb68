"""Made-up flights with the columns of `flight_features` that `air_time` uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date


def make_flights(days: Sequence[date], rows_per_day: int = 100) -> pd.DataFrame:
    """Return the same flights for the same days each time; their ids are `2013-01-01-00` and so on."""
    rng = np.random.default_rng(0)
    count = rows_per_day * len(days)
    row_days = np.repeat([f"{day}" for day in days], rows_per_day)
    numbers = np.tile(np.arange(rows_per_day), len(days))
    return pd.DataFrame(
        {
            "flight_id": [f"{day}-{number:02}" for day, number in zip(row_days, numbers, strict=True)],
            "scheduled_departure": pd.to_datetime([f"{day}T12:00Z" for day in row_days]),
            "carrier": rng.choice(["AA", "UA"], count),
            "origin": rng.choice(["EWR", "JFK"], count),
            "dest": rng.choice(["BOS", "LAX"], count),
            "distance": rng.uniform(100, 2_500, count),
            "hour": rng.integers(5, 23, count),
            "wind_speed": rng.normal(10, 3, count),
            "pressure": rng.normal(1_015, 5, count),
            "_airworthy_day": row_days.tolist(),
        }
    )
