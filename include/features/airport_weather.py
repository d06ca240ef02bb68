"""Newest weather report of each airport's station."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import Column, FeatureView, Online, ViewSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pandas as pd

REPORTS = ("temperature", "dew_point", "humidity", "wind", "rain", "air_pressure", "visibility")

FEATURE_VIEW = FeatureView(
    name="airport_weather",
    owner="network-planning",
    description="Newest weather report of each airport's station, hour by hour.",
    tags=("weather",),
    sources=(ViewSource(dataset="weather_reports", columns=REPORTS),),
    entity="station",
    time="online_from",
    granularity="hour",
    # The reports come ten minutes after the hour, and are online five minutes later.
    known_from=timedelta(minutes=75),
    columns=(
        Column(name="station", dtype="string"),
        Column(name="online_from", dtype="timestamp"),
        *(Column(name=name, dtype="number", nullable=True, maximum_nulls=1) for name in REPORTS),
    ),
    volume=(0, 3),
    online=Online(days=7),
)


def build(frames: Mapping[str, pd.DataFrame], hour: datetime) -> pd.DataFrame:
    """
    Return the last report of each station in an hour, one row per station.

    Parameters
    ----------
    frames
        `weather_reports` of the hour.
    hour
        Begin of the hour, in UTC.
    """
    import pandas as pd

    # A station sends further reports when the weather changes.
    reports = frames["weather_reports"].sort_values("reported_at").drop_duplicates("station", keep="last")
    online_from = pd.Series(hour + FEATURE_VIEW.known_after, reports.index, dtype="datetime64[us, UTC]")
    return reports[["station", *REPORTS]].assign(online_from=online_from)
