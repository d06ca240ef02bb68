"""From a model back to its data, and from data on to its models: the two versions of the operators' tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from airworthy.operators.training import TakeSnapshotOperator
from include.cli.lineage import print_model_lineage, print_partition_lineage
from include.data.lake import commit_log
from include.data.lake.delta_tables import Lake
from include.data.snapshots import records
from include.data.snapshots import snapshot as snapshots
from include.errors import PartitionMissing, ReleaseError
from include.inference.predictions import PREDICTION, VERSION
from include.modeling import lineage

TWO, THREE, FOUR = (date(2013, 1, day) for day in (2, 3, 4))


@pytest.fixture
def traced_lake(tmp_path, flown, certified, database):
    """A lake in which each table tells its run, and the snapshot that both certified versions learnt from."""
    lake = Lake(str(tmp_path / "told"))
    days = flown.days("flight_features")
    for dataset in ("flights", "weather"):
        rows = pd.DataFrame({"id": "x", "_airworthy_day": [str(day) for day in days]})
        lake.publish(dataset, rows, days, metadata={"run": f"{dataset}_ingestion/bulk", "try": "2"})
    for table in ("flight_features", "arrivals"):
        lake.publish(table, flown.read(table), days, metadata={"run": f"{table}/bulk", "try": "1"})
    snapshot = snapshots.create(certified, lake, None)
    records.record_snapshot(database, snapshot, run=f"{certified.name}_training/manual")
    return lake


@pytest.fixture
def made_of(traced_lake, registry, database):
    def ask(dataset, day, **which):
        with database.connect() as connection:
            return lineage.partition_lineage(connection, registry, traced_lake, dataset, day, **which)

    return ask


def again(lake, table, day):
    rows = lake.read(table, [day])
    return lake.publish(table, rows, [day], metadata={"run": f"{table}/corrected", "try": "1"})


def runs_of(pairs):
    return {(commit.run, commit.attempt) for _, commit in pairs}


def test_model_lineage_names_snapshot_commits_runs_and_files(traced_lake, registry, certified, capsys):
    again(traced_lake, "flights", THREE)  # what came later is not what it was made of
    traced = lineage.model_lineage(registry, traced_lake, certified.name, 1)
    # The tags of a version, which lineage reads, hold only the digest of the specification.
    assert traced.snapshot == replace(snapshots.create(certified, traced_lake, None), specification=None)
    runs = {name: runs_of(pairs) for name, pairs in traced.partitions.items()}
    assert runs == {
        "flight_features": {("flight_features/bulk", "1")},
        "arrivals": {("arrivals/bulk", "1")},
        "flights": {("flights_ingestion/bulk", "2")},
        "weather": {("weather_ingestion/bulk", "2")},
    }
    assert len(traced.partitions["flights"]) == len(traced_lake.days("flights"))
    assert len(traced.files) == 2 * len(traced_lake.days("flights"))
    assert traced.files[0].startswith("flight_features/_airworthy_day=2013-01-01/")
    print_model_lineage(traced)
    assert "flights_ingestion/bulk" in capsys.readouterr().out


def test_partition_lineage_names_all_that_was_derived(traced_lake, certified, made_of, serve, capsys):
    scored = pd.DataFrame(
        {"_airworthy_day": [str(THREE), str(FOUR)], VERSION: [1, 7], PREDICTION: [0.5, 0.5]}
    )
    traced_lake.publish(f"{certified.name}_predictions", scored, [THREE, FOUR], metadata={})
    serve(certified.name, 2, "champion")
    traced = made_of("flights", THREE)
    assert [(day, commit.run) for day, commit in traced.features] == [(THREE, "flight_features/bulk")]
    assert [row["run"] for row in traced.snapshots] == [f"{certified.name}_training/manual"]
    assert [(item.version, item.requests) for item in traced.models] == [(1, 0), (2, 30)]
    assert dict(traced.predictions) == {(f"{certified.name}_predictions", THREE, 1): 1}
    print_partition_lineage(traced)
    assert f"{certified.name}_predictions" in capsys.readouterr().out


def test_weather_of_a_day_is_in_the_features_of_the_next(made_of):
    assert {day for day, _ in made_of("weather", THREE).features} == {FOUR}


def test_labels_lead_to_models_without_features(made_of):
    traced = made_of("arrivals", THREE)
    assert (traced.features, [item.version for item in traced.models]) == ([], [1, 2])


def test_a_corrected_day_is_in_no_model_until_one_learns_from_it(traced_lake, made_of):
    newer = again(traced_lake, "arrivals", THREE)
    assert [item.version for item in made_of("arrivals", THREE, version=newer).models] == []
    assert [item.version for item in made_of("arrivals", THREE, version=newer - 1).models] == [1, 2]


def test_features_derive_from_sources_as_of_their_build(traced_lake, made_of):
    corrected = again(traced_lake, "flights", THREE)
    assert made_of("flights", THREE, version=corrected).features == []
    again(traced_lake, "flight_features", THREE)
    traced = made_of("flights", THREE, version=corrected)
    assert [commit.run for _, commit in traced.features] == ["flight_features/corrected"]
    assert traced.models == []


def test_a_day_that_was_left_out_taught_nothing(traced_lake, made_of, certified, database):
    traced_lake.publish("arrivals", traced_lake.read("arrivals", [TWO]).iloc[:1], [TWO], metadata={})
    records.record_snapshot(database, snapshots.create(certified, traced_lake, None), run="later")
    runs = {row["run"] for row in made_of("flights", TWO).snapshots}
    assert runs == {f"{certified.name}_training/manual"}
    assert "later" in {row["run"] for row in made_of("flights", THREE).snapshots}


def test_compaction_makes_nothing(traced_lake):
    before = commit_log.list_commits(traced_lake, "flights")
    traced_lake.optimize_and_vacuum("flights", retention=pd.Timedelta(days=1))
    assert commit_log.list_commits(traced_lake, "flights") == before


def test_the_same_snapshot_is_kept_once(traced_lake, certified, database, made_of):
    records.record_snapshot(database, snapshots.create(certified, traced_lake, None), run="another")
    assert len(made_of("arrivals", THREE).snapshots) == 1


def test_training_records_its_snapshot_and_label_completeness(
    flown, use_case, database, registry, context, capsys
):
    flown.publish("arrivals", flown.read("arrivals", [TWO]).iloc[:3], [TWO], metadata={})
    run = context({"dag_id": f"{use_case.name}_training", "run_id": "manual__1"})
    TakeSnapshotOperator(task_id="snapshot", use_case=use_case.name).execute(run)
    with database.connect() as connection:
        snapshots_of_day = lineage.partition_lineage(connection, registry, flown, "arrivals", THREE).snapshots
    own = [row for row in snapshots_of_day if row["use_case"] == use_case.name]
    assert [(row["run"], row["excluded_days"]) for row in own] == [
        (f"{use_case.name}_training/manual__1", ["2013-01-02"])
    ]
    message = "100.0 % of their labels have landed; days excluded for too few labels: 2013-01-02"
    assert message in capsys.readouterr().out


def test_what_does_not_exist_is_said_so(made_of, registry, traced_lake, certified):
    with pytest.raises(PartitionMissing, match="flights: 2014-01-01 was never published"):
        made_of("flights", date(2014, 1, 1))
    with pytest.raises(ReleaseError, match=f"{certified.name} has no version 99"):
        lineage.model_lineage(registry, traced_lake, certified.name, 99)
