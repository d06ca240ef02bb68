"""Actual times of each flight: the labels, one day late."""

from __future__ import annotations

from datetime import date

from include.declarations import Column, Dataset, FileSource, Stability

DATASET = Dataset(
    name="arrivals",
    owner="network-planning",
    description="Actual times of each flight, sent the day after; nothing here is known before departure.",
    tags=("flights", "labels"),
    source=FileSource(path="arrivals/{partition}.csv"),
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(
            name="dep_delay",
            dtype="number",
            nullable=True,
            minimum=-120,
            maximum=2880,
            description="minutes, negative where early",
        ),
        Column(
            name="arr_delay",
            dtype="number",
            nullable=True,
            minimum=-180,
            maximum=2880,
            description="minutes, negative where early; null if cancelled or diverted",
        ),
        Column(
            name="air_time",
            dtype="number",
            nullable=True,
            minimum=10,
            maximum=1000,
            description="minutes between take-off and landing",
        ),
    ),
    key=("flight_id",),
    first_partition=date(2013, 1, 1),
    last_partition=date(2013, 12, 31),
    lag_days=1,
    known_from="start",
    volume=(300, 2000),
    # Distributions are not compared: delays change with the weather.
    stability=Stability(volume=(0.55, 1.6)),
)
