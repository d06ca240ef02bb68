from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd

from include.features.airport_weather import FEATURE_VIEW, REPORTS, build

FIVE = datetime(2013, 7, 1, 5, tzinfo=UTC)
DECLARED = [column.name for column in FEATURE_VIEW.columns if column.name != "weather_reports_known_at"]


def reports(*stations):
    rows = pd.DataFrame({"station": stations, "reported_at": pd.Timestamp(FIVE)})
    return {"weather_reports": rows.assign(**dict.fromkeys(REPORTS, 1.0))}


def test_report_is_online_a_quarter_after_its_hour():
    rows = build(reports("KEWR", "KJFK"), FIVE)
    assert set(rows.columns) == set(DECLARED)
    assert set(rows["online_from"]) == {pd.Timestamp("2013-07-01T06:15Z")}


def test_last_report_of_the_hour_counts():
    frames = reports("KEWR", "KEWR", "KJFK")
    frames["weather_reports"] = frames["weather_reports"].assign(
        reported_at=pd.to_datetime(["2013-07-01T05:40Z", "2013-07-01T05:10Z", "2013-07-01T05:00Z"]),
        wind=[30.0, 10.0, 5.0],
    )
    assert build(frames, FIVE).set_index("station")["wind"].to_dict() == {"KEWR": 30.0, "KJFK": 5.0}


def test_hour_without_reports_has_no_rows():
    rows = build(reports(), FIVE)
    assert (len(rows), str(rows["online_from"].dtype)) == (0, "datetime64[us, UTC]")
