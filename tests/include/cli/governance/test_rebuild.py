from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.build_code import declared_code
from include.data.lake.delta_tables import Lake

DAYS = [date(2013, 1, day) for day in (1, 2, 4)]


@pytest.fixture
def publish(tmp_path, set_settings):
    set_settings(lake_uri=tmp_path / "lake")

    def publish(code, days):
        rows = pd.DataFrame({"flight_id": "x", "_airworthy_day": [str(day) for day in days]})
        Lake(str(tmp_path / "lake")).publish("flight_features", rows, days, metadata={"code": code})

    return publish


def test_stale_partitions_are_shown_and_rebuilt(publish, api, airworthy):
    publish("old", DAYS)
    value = airworthy("features", "stale", "flight_features", "--json").value
    assert (value[0]["table"], value[0]["stale"]) == ("flight_features", 3)
    assert value[0]["ranges"] == ["2013-01-01..2013-01-02", "2013-01-04"]
    assert [row["table"] for row in value] == ["flight_features", "flights", "weather"]
    assert "2013-01-04" in airworthy("features", "stale", "flight_features").out
    result = airworthy("features", "rebuild", "flight_features")
    assert "2013-01-01..2013-01-02 of flight_features is built again: http://airflow/run" in result.out
    assert [call.args for call in api.trigger.call_args_list] == [
        ("flight_features_features", {"first": "2013-01-01", "last": "2013-01-02"}),
        ("flight_features_features", {"first": "2013-01-04", "last": "2013-01-04"}),
    ]


def test_rebuild_waits_on_request(publish, api, airworthy):
    publish("old", DAYS)
    assert "was built again" in airworthy("features", "rebuild", "flight_features", "--wait").out
    assert [call.args[:2] for call in api.require_success.call_args_list] == [
        ("flight_features_features", "manual__1")
    ] * 2


def test_partitions_of_the_present_code_are_not_rebuilt(publish, api, airworthy):
    publish(declared_code("flight_features"), DAYS)
    assert airworthy("features", "rebuild", "flight_features").out == (
        "no partition of flight_features is stale\n"
    )
    api.trigger.assert_not_called()


def test_a_range_is_rebuilt_whatever_its_code(publish, api, airworthy):
    options = ("--first", "2013-01-02", "--last", "2013-01-04", "--json")
    assert airworthy("features", "rebuild", "flight_features", *options).value == [
        {"partitions": "2013-01-02..2013-01-04", "run": "manual__1", "link": "http://airflow/run"}
    ]


def test_end_of_a_range_without_its_begin_is_refused(publish, api, airworthy):
    publish("old", DAYS)
    result = airworthy("features", "rebuild", "flight_features", "--last", "2013-01-02")
    assert result.code == 2
    assert "--last needs --first" in result.err
    api.trigger.assert_not_called()
