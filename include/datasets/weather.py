"""Hourly weather at the three airports."""

from __future__ import annotations

from datetime import date, timedelta

from include.declarations import Column, Dataset, FileSource, Freshness, Stability

DATASET = Dataset(
    name="weather",
    owner="network-planning",
    description="Hourly observations at EWR, JFK and LGA; an observation is known when it is made.",
    source=FileSource(path="weather/{partition}.csv"),
    columns=(
        Column(name="origin", dtype="string", allowed=("EWR", "JFK", "LGA")),
        Column(name="observed_at", dtype="timestamp", within=timedelta(hours=12)),
        Column(name="temp", dtype="number", nullable=True, minimum=-40, maximum=130),
        Column(name="dewp", dtype="number", nullable=True, minimum=-60, maximum=100),
        Column(name="humid", dtype="number", nullable=True, minimum=0, maximum=100),
        Column(name="wind_speed", dtype="number", nullable=True, minimum=0, maximum=150),
        Column(name="precip", dtype="number", nullable=True, minimum=0, maximum=5),
        Column(name="pressure", dtype="number", nullable=True, minimum=900, maximum=1100),
        Column(name="visib", dtype="number", nullable=True, minimum=0, maximum=10),
    ),
    key=("origin", "observed_at"),
    first_partition=date(2013, 1, 1),
    last_partition=date(2013, 12, 30),
    known_at="observed_at",
    volume=(30, 80),
    # Old observations make features old, not wrong: their age is known, so this is for information.
    freshness=Freshness(column="observed_at", within=timedelta(hours=6), severity="warning"),
    stability=Stability(volume=(0.6, 1.6)),  # over 2013: 0.79 to 1.0
    quarantine_limit=0.05,
)
