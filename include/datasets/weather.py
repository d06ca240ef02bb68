"""Hourly weather observations at EWR, JFK and LGA."""

from __future__ import annotations

from datetime import date, timedelta

from include.declarations import Column, Dataset, FileSource, Freshness, Stability

DATASET = Dataset(
    name="weather",
    owner="network-planning",
    description="Checked hourly observations at EWR, JFK and LGA; a day's are sent in the night after it.",
    tags=("weather",),
    source=FileSource(path="weather/{partition}.csv"),
    columns=(
        Column(name="origin", dtype="string", allowed=("EWR", "JFK", "LGA")),
        Column(name="observed_at", dtype="timestamp", within=timedelta(hours=12)),
        Column(name="temp", dtype="number", nullable=True, minimum=-40, maximum=130, description="°F"),
        Column(name="dewp", dtype="number", nullable=True, minimum=-60, maximum=100, description="°F"),
        Column(name="humid", dtype="number", nullable=True, minimum=0, maximum=100, description="%"),
        Column(name="wind_speed", dtype="number", nullable=True, minimum=0, maximum=150, description="mph"),
        Column(name="precip", dtype="number", nullable=True, minimum=0, maximum=5, description="inches"),
        Column(name="pressure", dtype="number", nullable=True, minimum=900, maximum=1100, description="hPa"),
        Column(name="visib", dtype="number", nullable=True, minimum=0, maximum=10, description="miles"),
    ),
    key=("origin", "observed_at"),
    first_partition=date(2013, 1, 1),
    last_partition=date(2013, 12, 30),
    # The last observation of a day in New York is made at 04:00 UTC of the next; the file comes at 06:00.
    lag_days=1,
    known_from=timedelta(hours=6),
    landing_timeout=timedelta(hours=12),
    known_at="observed_at",
    volume=(30, 80),
    # A warning only: features know the age of an observation and ignore those that are too old.
    freshness=Freshness(column="observed_at", within=timedelta(hours=6), severity="warning"),
    # In 2013 a day has 0.79 to 1.0 times the median rows.
    stability=Stability(volume=(0.6, 1.6)),
    quarantine_limit=0.05,
)
