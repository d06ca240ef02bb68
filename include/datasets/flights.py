"""Schedule of the flights that leave New York City, known the evening before."""

from __future__ import annotations

from datetime import date, timedelta

from include.declarations import Column, Dataset, FileSource, Stability

DATASET = Dataset(
    name="flights",
    owner="network-planning",
    description="Scheduled departures from EWR, JFK and LGA, as known the evening before.",
    tags=("flights", "schedule"),
    source=FileSource(path="flights/{partition}.csv"),
    columns=(
        Column(name="flight_id", dtype="string", description="day, carrier, number, origin, time"),
        Column(name="carrier", dtype="string", description="airline, two letters (IATA)"),
        Column(name="flight", dtype="integer", minimum=1, maximum=9999),
        Column(name="tailnum", dtype="string", nullable=True, description="registration of the aircraft"),
        Column(name="origin", dtype="string", allowed=("EWR", "JFK", "LGA")),
        Column(name="dest", dtype="string", description="airport of arrival (IATA)"),
        Column(name="distance", dtype="number", minimum=10, maximum=6000, description="miles"),
        Column(name="scheduled_departure", dtype="timestamp", within=timedelta(hours=12)),
    ),
    key=("flight_id",),
    first_partition=date(2013, 1, 1),
    last_partition=date(2013, 12, 31),
    # 00:00 UTC is seven or eight in the evening of the day before in New York.
    known_from="start",
    volume=(300, 2000),
    # In 2013 a day has 0.65 (Thanksgiving) to 1.06 times the median flights, and no PSI above 0.06.
    stability=Stability(
        volume=(0.55, 1.6), columns=("carrier", "origin", "dest", "distance"), maximum_psi=0.25
    ),
)
