from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY


@pytest.fixture
def lake(away, database_url, set_settings):
    set_settings(database_url=database_url)
    lake = Lake(str(away / "lake"))
    frame = pd.DataFrame({"person": ["ann", "bob"], DAY: "2013-01-01"})
    lake.publish("visits", frame, [date(2013, 1, 1)], metadata={})
    return lake


def test_erase_without_yes_shows_what_it_would_do(lake, airworthy):
    result = airworthy("privacy", "erase", "person", "ann", "--reason", "a request")
    assert result.code == 0
    assert "visits: 1 rows in 1 partitions" in result.out
    assert "landed files" in result.out
    assert "Nothing was changed" in result.out
    assert len(lake.read("visits")) == 2


def test_erase_with_yes_erases(lake, airworthy):
    value = airworthy("privacy", "erase", "person", "ann", "--reason", "a request", "--yes", "--json").value
    assert value["done"]
    assert value["plan"]["tables"][0]["rows"] == 1
    assert lake.read("visits")["person"].tolist() == ["bob"]


def test_erase_of_an_unknown_column_ends_with_1(lake, airworthy):
    result = airworthy("privacy", "erase", "email", "ann", "--reason", "a request")
    assert result.code == 1
    assert "No table has a column email" in result.err


def test_columns_lists_none_of_the_examples(away, airworthy):
    assert airworthy("privacy", "columns").out == "personal columns: none\n"
    assert airworthy("privacy", "columns", "--json").value == []
