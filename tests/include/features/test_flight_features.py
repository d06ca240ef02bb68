from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.declarations import KNOWN_AT
from include.features.flight_features import FEATURE_VIEW, build


def moments(*texts):
    return pd.to_datetime(list(texts), utc=True).as_unit("us")


@pytest.fixture
def frames():
    flights = pd.DataFrame(
        {
            "flight_id": ["early", "late", "other"],
            "scheduled_departure": moments("2013-07-01T10:00", "2013-07-02T02:30", "2013-07-01T12:00"),
            "carrier": "UA", "origin": ["EWR", "EWR", "LGA"], "dest": "BOS", "distance": 200.0,
        }
    )  # fmt: skip
    hours = moments("2013-07-01T07:00", "2013-07-01T08:00", "2013-07-01T09:00", "2013-07-02T00:30")
    weather = pd.DataFrame({"origin": "EWR", "observed_at": hours, "temp": [70.0, 80.0, 90.0, 60.0]})
    weather[KNOWN_AT] = hours
    for name in ("dewp", "humid", "wind_speed", "precip", "pressure", "visib"):
        weather[name] = 1.0
    return {"flights": flights, "weather": weather}


@pytest.fixture
def rows(frames):
    return build(frames, date(2013, 7, 1)).set_index("flight_id")


def test_the_newest_of_what_lands_together_counts(frames):
    frames["weather"] = frames["weather"].iloc[[1, 0]].assign(**{KNOWN_AT: moments("2013-07-01T08:00")[0]})
    rows = build(frames, date(2013, 7, 1)).set_index("flight_id")
    assert rows.loc["early", "temp"] == 80.0


def test_the_weather_is_the_last_that_was_known_two_hours_before(rows):
    assert rows.loc["early", "temp"] == 80.0
    assert rows.loc["late", "weather_known_at"] == pd.Timestamp("2013-07-02T00:30Z")


def test_no_weather_of_the_airport_is_no_weather(rows):
    assert rows.loc["other", ["weather_known_at", "temp"]].isna().all()


def test_weather_older_than_a_day_is_no_weather(frames):
    frames["weather"] = frames["weather"].iloc[:1]
    late = frames["flights"].assign(scheduled_departure=moments("2013-07-02T09:01")[0])
    frames["flights"] = pd.concat([frames["flights"].iloc[:1], late.iloc[1:2]], ignore_index=True)
    rows = build(frames, date(2013, 7, 1)).set_index("flight_id")
    assert rows["temp"].dropna().to_dict() == {"early": 70.0}
    assert pd.isna(rows.loc["late", "weather_known_at"])


def test_hour_and_weekday_are_those_of_new_york(rows):
    assert rows.loc["late", ["hour", "weekday"]].tolist() == [22, 0]


def test_returns_what_is_declared(frames):
    rows = build(frames, date(2013, 7, 1))
    declared = [column.name for column in FEATURE_VIEW.columns]
    assert list(rows.columns) == [name for name in declared if name != "flights_known_at"]
    assert list(rows["flight_id"]) == ["early", "late", "other"]
