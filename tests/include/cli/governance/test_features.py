from __future__ import annotations


def test_show_without_services_says_what_is_missing(away, airworthy):
    result = airworthy("features", "show", "flight_features")
    assert result.code == 0
    assert "Champion, importance and drift are not shown" in result.err
    assert "flight_delay (unknown, unknown)" in result.out


def test_show_as_json_has_the_models_of_each_feature(away, airworthy):
    value = airworthy("features", "show", "flight_features", "--json").value
    columns = {column["name"]: column["models"] for column in value["columns"]}
    use = {"feature": "temp", "model": "delay_band", "importance": None, "drifted": None}
    assert columns["temp"] == [use]
    assert columns["scheduled_departure"] == []


def test_list_and_search_find_the_view(away, airworthy):
    names = [entry["name"] for entry in airworthy("features", "list", "--json").value]
    assert names == ["airport_weather", "flight_features"]
    assert "wind_speed" in airworthy("features", "search", "wind").out


def test_show_of_an_unknown_view_is_refused(away, airworthy):
    result = airworthy("features", "show", "flights")
    assert result.code == 2
    assert "No feature view 'flights'" in " ".join(result.err.replace("│", " ").split())
