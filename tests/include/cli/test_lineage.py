from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest
from typer import BadParameter

from include.cli.lineage import model_record, partition_record
from include.cli.options import parse_partition
from include.data.lake.commit_log import Commit
from include.data.lake.delta_tables import Lake
from include.data.snapshots.snapshot import Snapshot
from include.modeling.lineage import ModelLineage, PartitionLineage

DAYS = [date(2013, 7, 1), date(2013, 7, 2)]
COMMIT = Commit(
    "flights",
    4,
    datetime(2013, 7, 3, tzinfo=UTC),
    "flights_ingestion/1",
    "1",
    "c0de",
    frozenset(DAYS),
    frozenset(DAYS),
)


@pytest.fixture
def lake(tmp_path, set_settings):
    """Return a lake with two days of flights; the second lacks half of its labels."""
    set_settings(lake_uri=tmp_path, mlflow_uri="http://127.0.0.1:9")
    lake = Lake(str(tmp_path))
    keys = {
        "flight_id": ["a", "b", "c", "d"],
        "_airworthy_day": ["2013-07-01", "2013-07-01", "2013-07-02", "2013-07-02"],
    }
    rows = pd.DataFrame(keys)
    lake.publish("flight_features", rows, DAYS, metadata={})
    lake.publish("arrivals", rows.iloc[:3].assign(arr_delay=[1.0, None, 2.0]), DAYS, metadata={})
    return lake


def test_labels_show_which_days_are_learnt_from(lake, airworthy):
    result = airworthy("lineage", "labels", "flight_delay")
    assert result.code == 0
    shown = [line.split() for line in result.out.splitlines()]
    assert ["2013-07-01", "2", "2", "1", "100.0%", "yes"] in shown
    assert ["2013-07-02", "2", "1", "1", "50.0%", "no"] in shown


def test_labels_as_json_have_one_object_per_day(lake, airworthy):
    value = airworthy("lineage", "labels", "flight_delay", "--days", "1", "--json").value
    assert value["days"] == [
        {
            "day": "2013-07-02",
            "rows": 2,
            "landed": 1,
            "labelled": 1,
            "completeness": 0.5,
            "learnt_from": False,
        }
    ]


def test_records_hold_commits_with_their_days():
    snapshot = Snapshot("late", DAYS[0], "view", 1, "arrivals", 2, ("2013-07-01", "2013-07-02"), 4, "digest")
    pairs = [(day, COMMIT) for day in DAYS]
    names = ["2013-07-01", "2013-07-02"]
    commit = {
        "table": "flights", "commit": 4, "at": COMMIT.at, "run": COMMIT.run, "try": "1", "code": "c0de",
        "days": DAYS, "partitions": names,
    }  # fmt: skip
    version = model_record(ModelLineage("late", 3, "run", "code", snapshot, {"flights": pairs}, ["a file"]))
    assert version["partitions"] == {"flights": [commit]}
    assert version["snapshot"]["digest"] == "digest"
    day = PartitionLineage("flights", DAYS[0], [COMMIT], [], [], [], {("scores", DAYS[0], 3): 7})
    record = partition_record(day)
    assert record["commits"] == [commit | {"days": DAYS[:1], "partitions": names[:1]}]
    assert record["predictions"] == [{"table": "scores", "day": "2013-07-01", "version": 3, "rows": 7}]


def test_partition_takes_a_day_or_an_hour():
    assert parse_partition("2013-07-01") == DAYS[0]
    assert parse_partition("2013-07-01T05") == datetime(2013, 7, 1, 5, tzinfo=UTC)
    for text in ("2013-07-01T5h", "yesterday"):
        with pytest.raises(BadParameter, match="Write it as 2013-07-01"):
            parse_partition(text)
