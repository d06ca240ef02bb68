"""Weather reports of EWR, JFK and LGA, one file an hour."""

from __future__ import annotations

from datetime import date, timedelta

from include.declarations import Column, Dataset, FileSource

DATASET = Dataset(
    name="weather_reports",
    owner="network-planning",
    description="Reports of the weather stations at EWR, JFK and LGA, sent ten minutes after each hour.",
    tags=("weather",),
    source=FileSource(path="weather_reports/{partition}.csv"),
    columns=(
        Column(name="station", dtype="string", allowed=("KEWR", "KJFK", "KLGA"), description="ICAO code"),
        Column(name="reported_at", dtype="timestamp", within=timedelta(hours=1)),
        Column(
            name="temperature", dtype="number", nullable=True, maximum_nulls=1, minimum=-40, maximum=130,
            description="°F",
        ),
        Column(
            name="dew_point", dtype="number", nullable=True, maximum_nulls=1, minimum=-60, maximum=100,
            description="°F",
        ),
        Column(
            name="humidity", dtype="number", nullable=True, maximum_nulls=1, minimum=0, maximum=100,
            description="%",
        ),
        Column(
            name="wind", dtype="number", nullable=True, maximum_nulls=1, minimum=0, maximum=150,
            description="mph",
        ),
        Column(
            name="rain", dtype="number", nullable=True, maximum_nulls=1, minimum=0, maximum=5,
            description="inches",
        ),
        Column(
            name="air_pressure", dtype="number", nullable=True, maximum_nulls=1, minimum=900, maximum=1100,
            description="hPa",
        ),
        Column(
            name="visibility", dtype="number", nullable=True, maximum_nulls=1, minimum=0, maximum=10,
            description="miles",
        ),
    ),
    key=("station", "reported_at"),
    granularity="hour",
    first_partition=date(2013, 1, 1),
    last_partition=date(2013, 12, 30),
    # An observation may be made until the end of its hour.
    known_from=timedelta(minutes=70),
    # A station may be silent, or report a sudden change; an hour without any report is a file without rows.
    volume=(0, 30),
    # One bad report does not hold back those of the other two stations.
    quarantine_limit=0.4,
)  # fmt: skip
