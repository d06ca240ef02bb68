"""Files as strangers bring them: hourly counts, customers without dates, sensor readings with gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path


def write_hourly_counts(folder: Path, *, days: int = 60) -> Path:
    """Write counts of rentals with a date and an hour column, and two columns whose sum is the label."""
    rng = np.random.default_rng(0)
    days_of_rows = pd.date_range("2024-03-01", periods=days).repeat(24)
    hour = np.tile(np.arange(24), days)
    temperature = 12 + 8 * np.sin((hour - 9) / 24 * 2 * np.pi) + rng.normal(0, 2, len(hour))
    busy = 40 + 90 * np.exp(-(((hour - 17) / 4) ** 2)) + 2 * temperature
    casual = rng.poisson(busy / 4)
    registered = rng.poisson(busy)
    frame = pd.DataFrame(
        {
            "Date": days_of_rows.strftime("%d/%m/%Y"),
            "hr": hour,
            "season": np.where(days_of_rows.month < 4, "winter", "spring"),
            "Holiday?": np.where(days_of_rows.dayofweek == 6, 1, 0),
            "temp": temperature.round(2),
            "wind speed": np.where(rng.random(len(hour)) < 0.05, "NaN", rng.gamma(2, 5, len(hour)).round(1)),
            "casual": casual,
            "registered": registered,
            "cnt": casual + registered,
        }
    )
    path = folder / "Bike Rentals.csv"
    frame.to_csv(path, index=False)
    return path


def write_customers(folder: Path, *, rows: int = 1_500) -> Path:
    """Write customers without any date: a label Yes or No, semicolons, decimal commas, markers of null."""
    rng = np.random.default_rng(1)
    tenure = rng.integers(0, 72, rows)
    fee = rng.normal(60, 20, rows).clip(5).round(2)
    odds = (fee - 60) / 15 - (tenure - 24) / 12
    fees = pd.Series(fee).map(lambda value: f"{value:.2f}".replace(".", ","))
    frame = pd.DataFrame(
        {
            "customerID": [f"{1000 + number}-AB" for number in range(rows)],
            "Contract": rng.choice(["month", "one year", "two years"], rows),
            "tenure": tenure,
            "MonthlyCharges": fees,
            "SeniorCitizen": rng.integers(0, 2, rows),
            "PhoneService": np.where(rng.random(rows) < 0.1, "?", rng.choice(["Yes", "No"], rows)),
            "age": np.where(rng.random(rows) < 0.1, "NA", rng.integers(18, 90, rows).astype(str)),
            "Churn": np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "Yes", "No"),
        }
    )
    path = folder / "customers.csv"
    frame.to_csv(path, index=False, sep=";")
    return path


def write_sensor_readings(folder: Path, *, days: int = 30) -> Path:
    """Write readings of three sensors in Parquet: each 20 minutes, with missing values, rows and a day."""
    rng = np.random.default_rng(2)
    moments = pd.date_range("2025-01-01", periods=days * 72, freq="20min", tz="UTC")
    parts = []
    for number, sensor in enumerate(("boiler", "pump", "turbine")):
        load = rng.random(len(moments)) * 100
        parts.append(
            pd.DataFrame(
                {
                    "measured_at": moments,
                    "sensor": sensor,
                    "load": load,
                    "vibration": np.where(rng.random(len(moments)) < 0.1, np.nan, rng.gamma(2, 1, len(load))),
                    "running": load > 5,
                    "power": 3 * load + 20 * number + rng.normal(0, 5, len(load)),
                }
            )
        )
    frame = pd.concat(parts).sample(frac=0.9, random_state=0)
    frame = frame[frame["measured_at"].dt.strftime("%Y-%m-%d") != "2025-01-12"]
    path = folder / "readings.parquet"
    frame.sort_values("measured_at").to_parquet(path, index=False)
    return path
