"""A table of planes that lands whole, joined to trips by the DAG of a view in the version of its day."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import include.datasets
import include.features
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.features import BuildFeaturesOperator, CheckLeakageOperator
from airworthy.operators.publication import PublishSourceOperator
from include.catalog import discover
from include.data.features import references
from tests.plugins.conftest import pin_catalog

COMMON = 'owner="test", description="A test\'s.", key=("plane",)'
ID = 'Column(name="plane", dtype="string")'
MODULES = {
    "datasets/planes_seen.py": f"""
from include.declarations import Column, Dataset, FileSource
DATASET = Dataset(
    name="planes_seen", {COMMON}, source=FileSource(path="planes.csv"), whole=True,
    columns=({ID}, Column(name="seats", dtype="integer")),
)
""",
    "datasets/trips.py": f"""
from datetime import date
from include.declarations import Column, Dataset, FileSource
DATASET = Dataset(
    name="trips", {COMMON}, source=FileSource(path="trips/{{partition}}.csv"), known_from="start",
    columns=({ID}, Column(name="leaves", dtype="timestamp")), first_partition=date(2013, 1, 1),
)
""",
    "features/trip_seats.py": f"""
from include.declarations import Column, FeatureView, ViewSource
FEATURE_VIEW = FeatureView(
    name="trip_seats", owner="test", description="Seats.", entity="plane", time="leaves",
    sources=(ViewSource(dataset="trips"), ViewSource(dataset="planes_seen", columns=("seats",))),
    columns=({ID}, Column(name="leaves", dtype="timestamp"), Column(name="seats", dtype="integer")),
)


def build(frames, day):
    planes = frames["planes_seen"][["plane", "seats"]]
    return frames["trips"][["plane", "leaves"]].merge(planes, on="plane", how="left")
""",
}


@pytest.fixture
def declared(tmp_path, monkeypatch):
    """Return the catalogue with two datasets and a view."""
    for path, source in MODULES.items():
        file = tmp_path / "declared" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    for package in (include.datasets, include.features):
        folder = tmp_path / "declared" / package.__name__.partition(".")[2]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    discovered = discover("include")
    pin_catalog(monkeypatch, discovered)
    yield discovered
    for path in MODULES:
        sys.modules.pop("include." + path.removesuffix(".py").replace("/", "."), None)


@pytest.fixture
def land(lake):
    def land(path, rows):
        file = Path(lake.uri).parent / "landing" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rows)

    return land


@pytest.fixture
def publish_features(context):
    """Return a function that runs the tasks of the view's DAG for a day."""

    def run(day):
        name = "trip_seats"
        ran = context({"partition_key": day, "dag_id": f"{name}_features", "run_id": f"run__{day}"})
        built = BuildFeaturesOperator(task_id="build", feature_view=name).execute(ran)
        versions = ran["ti"].pushed["references"]
        leakage = CheckLeakageOperator(task_id="check", feature_view=name, frame=built, references=versions)
        assert leakage.execute(ran) == 1
        checked = DataValidationOperator(task_id="validate", subject=name, frame=built).execute(ran)
        publish = PublishSourceOperator(
            task_id="publish", table=name, frame=checked, references=versions, outlets=[]
        )
        publish.execute(ran)

    return run


@pytest.mark.usefixtures("database")
def test_day_is_built_with_the_version_that_was_known(declared, land, ingest, publish_features, lake):
    assert declared.problems == ()
    planes = declared.datasets["planes_seen"]
    for day in ("2013-01-01", "2013-01-02", "2013-01-04"):
        land(f"trips/{day}.csv", f"plane,leaves\nN1,{day}T12:00:00Z\n")
        ingest(declared.datasets["trips"], day, run_type="manual")
    land("planes.csv", "plane,seats\nN1,100\n")
    ingest(planes, first="2013-01-01", run_type="manual")
    land("planes.csv", "plane,seats\nN1,140\n")
    ingest(planes, first="2013-01-03", run_type="manual")
    for day in ("2013-01-01", "2013-01-02", "2013-01-04"):
        publish_features(day)
    rows = lake.read("trip_seats").sort_values("_airworthy_day")
    assert rows["seats"].tolist() == [100, 100, 140]
    assert rows["planes_seen_known_at"].isna().tolist() == [True, False, False]
    view = declared.feature_views["trip_seats"]
    versions = {}
    for partition, publication in lake.publications("trip_seats").items():
        (use,) = references.from_json(view, publication.references)
        versions[str(partition)] = str(use.version)
    assert versions == {"2013-01-01": "2013-01-01", "2013-01-02": "2013-01-01", "2013-01-04": "2013-01-03"}
    assert json.loads(publication.references)[0]["dataset"] == "planes_seen"
