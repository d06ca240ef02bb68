from __future__ import annotations

from datetime import date

import pandas as pd
import pytest
from sqlalchemy import insert

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY as DAY_COLUMN
from include.data.lake.table_files import list_tables
from include.database.tables import desired_state, live_state

DAY = date(2013, 1, 1)


@pytest.fixture
def lake(away, database_url, set_settings, registry):
    set_settings(database_url=database_url)
    lake = Lake(str(away / "lake"))
    frame = pd.DataFrame({"origin": ["JFK"], DAY_COLUMN: "2013-01-01"})
    for table in ("weather", "planes", "oops_model_predictions"):
        lake.publish(table, frame, [DAY], metadata={})
    return lake


def test_drop_without_yes_changes_nothing(lake, airworthy):
    result = airworthy("datasets", "drop", "weather", "--reason", "a wrong type")
    assert result.code == 0
    assert "weather would be moved to _archive/" in result.out
    assert "feature view flight_features" in result.out
    assert "refused without --force" in result.out
    assert "weather" in list_tables(lake)


def test_drop_with_yes_archives_an_undeclared_table(lake, airworthy):
    value = airworthy("datasets", "drop", "planes", "--reason", "unused", "--yes", "--json").value
    assert value["done"]
    assert value["paths"]["planes"].startswith("_archive/")
    assert "planes" not in list_tables(lake)


def test_drop_of_a_needed_table_ends_with_1(lake, airworthy):
    result = airworthy("datasets", "drop", "weather", "--reason", "a wrong type", "--yes")
    assert (result.code, result.out) == (1, "")
    assert "weather is still needed" in result.err


def test_drop_of_a_missing_view_ends_with_1(lake, airworthy):
    result = airworthy("features", "drop", "plane_features", "--reason", "unused", "--yes")
    assert result.code == 1
    assert "There is no table plane_features" in result.err


def test_retire_works_without_a_declaration(lake, airworthy, database):
    live = {"use_case": "oops_model", "generation": 2, "ready": True, "detail": {}}
    with database.begin() as connection:
        connection.execute(insert(desired_state).values(use_case="oops_model", champion=4, generation=1))
        connection.execute(insert(live_state).values(live))
    plan = airworthy("models", "retire", "oops_model", "--reason", "unused").out
    assert "its champion, version 4, would stop being served" in plan
    result = airworthy("models", "retire", "oops_model", "--reason", "unused", "--yes")
    assert result.out == "oops_model is retired: the gateway answers its callers with 410.\n"
    value = airworthy("models", "drop", "oops_model", "--reason", "unused", "--yes", "--json").value
    assert list(value["paths"]) == ["oops_model_predictions"]
    assert airworthy("models", "reinstate", "oops_model", "--reason", "a mistake").code == 0
    assert airworthy("models", "reinstate", "oops_model", "--reason", "a mistake").code == 1
