from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

from include.data.features.lineage import CommitLogs, read_dependents, read_inputs
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import with_partition_columns
from include.declarations import Column, Dataset, FeatureView, FileSource, ViewSource

DAY = date(2013, 7, 1)
HOURS = [datetime(2013, 7, 1, hour, tzinfo=UTC) for hour in range(4)]
COLUMNS = (Column(name="id", dtype="string"), Column(name="at", dtype="timestamp"))
COMMON = {"owner": "test", "description": "A test's.", "columns": COLUMNS, "granularity": "hour"}
WEATHER = Dataset(
    name="weather", source=FileSource(path="{partition}.csv"), key=("id",), first_partition=DAY, **COMMON
)
HOURLY = FeatureView(
    name="recent_weather", entity="id", time="at", horizon=timedelta(0),
    sources=(ViewSource(dataset="weather", lookback_hours=1),), **COMMON,
)  # fmt: skip


class Declared:
    sources = {"weather": WEATHER}
    feature_views = {"recent_weather": HOURLY}


@pytest.fixture
def lake(tmp_path, monkeypatch):
    """Return a lake in which each hour of both tables has a commit of its own."""
    monkeypatch.setattr("include.data.features.lineage.catalog", Declared)
    lake = Lake(str(tmp_path))
    for table in ("weather", "recent_weather"):
        for hour in HOURS:
            publish(lake, table, hour)
    return lake


def publish(lake, table, hour, code="old"):
    rows = with_partition_columns(pd.DataFrame({"id": ["x"]}), hour)
    return lake.publish(table, rows, [hour], metadata={"run": f"{table}/{hour:%H}", "code": code})


def runs(pairs):
    return sorted((partition, commit.run) for partition, commit in pairs)


def test_hours_lead_back_to_the_hours_that_they_read(lake):
    logs = CommitLogs(lake)
    assert logs.partitions_of("recent_weather", [DAY]) == HOURS
    built = logs.producing_commit("recent_weather", HOURS[2])
    inputs = read_inputs(logs, "recent_weather", [(HOURS[2], built)])
    assert runs(inputs["weather"]) == [(HOURS[1], "weather/01"), (HOURS[2], "weather/02")]


def test_an_hour_leads_to_the_hours_that_read_it(lake):
    logs = CommitLogs(lake)
    commit = logs.producing_commit("weather", HOURS[1])
    dependents = read_dependents(logs, "weather", HOURS[1], [commit])
    assert runs(dependents) == [(HOURS[1], "recent_weather/01"), (HOURS[2], "recent_weather/02")]


def test_a_corrected_hour_leads_nowhere_until_it_is_read(lake):
    publish(lake, "weather", HOURS[1])
    logs = CommitLogs(lake)
    corrected = logs.producing_commit("weather", HOURS[1])
    assert read_dependents(logs, "weather", HOURS[1], [corrected]) == []
    publish(lake, "recent_weather", HOURS[2], code="new")
    logs = CommitLogs(lake)
    ((hour, reader),) = read_dependents(logs, "weather", HOURS[1], [corrected])
    assert (hour, reader.code) == (HOURS[2], "new")
    assert logs.producing_commit("recent_weather", HOURS[1]).code == "old"
