from __future__ import annotations

from datetime import date

import pandas as pd

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY as DAY_COLUMN


def publish_arrivals(folder):
    frame = pd.DataFrame({"flight_id": ["a", "b"], "arr_delay": [1.0, None], DAY_COLUMN: "2013-01-01"})
    Lake(str(folder / "lake")).publish("arrivals", frame, [date(2013, 1, 1)], metadata={})


def test_list_shows_each_dataset_with_its_newest_day(away, airworthy):
    publish_arrivals(away)
    value = airworthy("datasets", "list", "--json").value
    newest = {entry["name"]: entry["freshness"]["newest"] for entry in value}
    others = dict.fromkeys(("flights", "weather", "weather_reports"))
    assert newest == {"arrivals": "2013-01-01", **others}
    shown = airworthy("datasets", "list").out
    assert "network-planning" in shown
    assert "2013-01-01" in shown


def test_show_has_columns_nulls_and_users(away, airworthy):
    publish_arrivals(away)
    shown = airworthy("datasets", "show", "arrivals").out
    assert "label of   air_time, delay_band, flight_delay" in shown
    assert "newest 2013-01-01" in shown
    assert "50.00%" in shown


def test_search_as_json_lists_matches(away, airworthy):
    value = airworthy("datasets", "search", "tailnum", "--json").value
    text = "tailnum: registration of the aircraft"
    assert value == [{"name": "flights", "field": "column", "text": text}]


def test_search_without_a_match_says_none(away, airworthy):
    assert airworthy("datasets", "search", "submarine").out == "datasets: none\n"


def test_show_of_an_unknown_dataset_is_refused(away, airworthy):
    assert airworthy("datasets", "show", "planes").code == 2


def test_profile_prints_the_address_that_show_names(away, airworthy):
    publish_arrivals(away)
    assert airworthy("datasets", "show", "arrivals", "--json").value["profile"] is None
    address = airworthy("datasets", "profile", "arrivals").out.strip()
    assert address.endswith("/airworthy/reports/profiles/arrivals.html")
    assert airworthy("datasets", "show", "arrivals", "--json").value["profile"] == address
