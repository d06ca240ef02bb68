"""Features of a flight, known in the night before it leaves."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from include.declarations import KNOWN_AT, Column, FeatureView, Online, ViewSource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    import pandas as pd

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
FRESH_FOR = timedelta(hours=24)

FEATURE_VIEW = FeatureView(
    name="flight_features",
    owner="network-planning",
    description="Schedule, route, and the last weather of the day before.",
    tags=("flights", "weather"),
    sources=(
        ViewSource(
            dataset="flights",
            columns=("carrier", "origin", "station", "dest", "distance", "hour", "weekday"),
        ),
        ViewSource(dataset="weather", lookback_days=1, columns=WEATHER),
    ),
    entity="flight_id",
    time="scheduled_departure",
    horizon=timedelta(hours=2),
    # 06:00 UTC, when the weather of the day before has come; the first flight is predicted at 07:00 UTC.
    known_from=timedelta(hours=6),
    columns=(
        Column(name="flight_id", dtype="string"),
        Column(name="scheduled_departure", dtype="timestamp"),
        Column(name="carrier", dtype="string"),
        Column(name="origin", dtype="string"),
        Column(name="station", dtype="string", description="weather station at the origin (ICAO)"),
        Column(name="dest", dtype="string"),
        Column(name="distance", dtype="number", minimum=10, maximum=6000),
        Column(name="hour", dtype="integer", minimum=0, maximum=23),
        Column(name="weekday", dtype="integer", minimum=0, maximum=6),
        *(Column(name=name, dtype="number", nullable=True, maximum_nulls=1) for name in WEATHER),
    ),
    volume=(300, 2000),
    online=Online(days=7),
)
COLUMNS = [column.name for column in FEATURE_VIEW.columns if column.name != "flights_known_at"]


def build(frames: Mapping[str, pd.DataFrame], day: date) -> pd.DataFrame:
    """
    Return the features of the flights of `day`, one row per flight, sorted by `flight_id`.

    Parameters
    ----------
    frames
        `flights` of the day, and `weather` of the day before.
    day
        Day of the flights.
    """
    import pandas as pd

    flights = frames["flights"].assign(
        prediction_time=lambda rows: rows["scheduled_departure"] - FEATURE_VIEW.horizon
    )
    # Of observations that are known at the same time, the newest counts.
    weather = frames["weather"].rename(columns={KNOWN_AT: "weather_known_at"})
    weather = weather.sort_values(["weather_known_at", "observed_at"])
    features = pd.merge_asof(
        flights.sort_values("prediction_time"),
        weather[["origin", "weather_known_at", "observed_at", *WEATHER]],
        left_on="prediction_time",
        right_on="weather_known_at",
        by="origin",
    )
    is_old = features["prediction_time"] - features["observed_at"] > FRESH_FOR
    features.loc[is_old, ["weather_known_at", *WEATHER]] = None
    local = features["scheduled_departure"].dt.tz_convert("America/New_York")
    features = features.assign(station="K" + features["origin"], hour=local.dt.hour, weekday=local.dt.weekday)
    return features[COLUMNS].sort_values("flight_id", ignore_index=True)
