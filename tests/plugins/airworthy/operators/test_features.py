"""Features from one task to the next: built, proven to know no future, and brought online."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest
from sqlalchemy import select

from airworthy.operators.features import (
    BuildFeaturesOperator,
    CheckLeakageOperator,
    MaterialiseFeaturesOperator,
)
from airworthy.operators.ingestion import PublishPartitionOperator
from include.catalog import catalog, declaration_module
from include.data.feature_store import client
from include.data.snapshots import leakage_history
from include.data.snapshots.leakage_history import LeakageRecord
from include.data.snapshots.snapshot import Snapshot
from include.database.tables import gate_result
from include.errors import DataError
from include.storage.staging import Staging
from tests.contracts.frames import generate

VIEW = catalog().feature_views["flight_features"]
DAY = date(2013, 7, 2)
RUN = {"partition_key": str(DAY)}


@pytest.fixture
def observed(lake):
    """Return the lake with flights and weather of two days."""
    days = [DAY - timedelta(days=1), DAY]
    for name in ("flights", "weather"):
        columns = catalog().datasets[name].columns
        rows = pd.concat(generate(columns, 300, day).assign(_airworthy_day=str(day)) for day in days)
        lake.publish(name, rows, days, metadata={})
    return lake


def check(context, frame):
    operator = CheckLeakageOperator(task_id="check_leakage", feature_view=VIEW.name, frame=frame)
    return operator.execute(context)


def evidence(database):
    with database.connect() as connection:
        return connection.execute(select(gate_result)).mappings().one()


def test_honest_features_pass_and_leave_evidence(observed, context, database):
    ran = context(RUN)
    frame = BuildFeaturesOperator(task_id="build", feature_view=VIEW.name).execute(ran)
    assert check(ran, frame) > 10
    result = evidence(database)
    assert (result["subject"], result["partition"], result["passed"]) == (VIEW.name, str(DAY), True)
    assert result["results"][0]["expectation"] == "expect_features_to_be_known_in_time"
    ran["ti"].try_number = 2
    version = PublishPartitionOperator(task_id="publish", table=VIEW.name, frame=frame).execute(ran)
    days = (str(DAY), str(DAY))
    snapshot = Snapshot("late", DAY, VIEW.name, version, "arrivals", 0, days, 300, "digest")
    history = leakage_history.of_snapshot(database, observed, snapshot)
    assert history == LeakageRecord(VIEW.name, passed=1)


def test_a_leak_fails_by_name_after_its_evidence_was_written(observed, context, database, monkeypatch):
    honest = declaration_module("features", VIEW.name).build

    def build(frames, day):
        return honest(frames, day).assign(temp=frames["weather"]["temp"].mean())

    before = DAY - timedelta(days=1)
    weather = observed.read("weather", [before])
    late = weather.assign(observed_at=weather["observed_at"] + timedelta(days=1))
    observed.publish("weather", pd.concat([weather, late]), [before], metadata={})
    monkeypatch.setattr(
        "include.data.features.build.declaration_module", lambda *_: SimpleNamespace(build=build)
    )
    ran = context(RUN)
    frame = BuildFeaturesOperator(task_id="build", feature_view=VIEW.name).execute(ran)
    with pytest.raises(DataError, match=r"flight_features: temp leaks from weather in \d+ rows"):
        check(ran, frame)
    result = evidence(database)
    assert result["passed"] is False
    assert result["results"][0]["column"] == "temp"
    assert "leaks from weather" in result["results"][0]["message"]


def test_what_is_published_comes_online_with_its_run(observed, context, database):
    ran = context(RUN)
    frame = BuildFeaturesOperator(task_id="build", feature_view=VIEW.name).execute(ran)
    rows = Staging(observed.uri).read(frame)
    observed.publish(VIEW.name, rows, [DAY], metadata={})
    materialise = MaterialiseFeaturesOperator(task_id="materialise", feature_view=VIEW.name)
    assert materialise.execute(ran) == {"rows": 300, "days": [str(DAY)], "evicted": 0}
    assert materialise.execute(context({"partition_key": "2013-07-01"})) == {
        "rows": 0, "days": [], "evicted": 0,
    }  # fmt: skip
    assert materialise.execute(context())["days"] == [str(DAY)]  # by hand, without a day
    with client.open_store(database.url) as opened:
        result = client.look_up(opened, VIEW, {VIEW.entity: rows[VIEW.entity].tolist()[:5]})
    assert result["distance"].tolist() == rows["distance"].tolist()[:5]
