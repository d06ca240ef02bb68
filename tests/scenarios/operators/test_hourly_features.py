"""A feature view of hours: built when its inputs are complete, published, scored by day, and online."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pandas as pd
import pytest

from airworthy import assets
from airworthy.hooks.lake import LakeHook
from airworthy.operators import features as operators
from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.ingestion import PublishPartitionOperator
from airworthy.operators.publication import PublishDatasetOperator
from include.catalog import Catalog, catalog
from include.data.feature_store import client
from include.data.lake.partition_columns import with_partition_columns
from include.declarations import KNOWN_AT, Column, Dataset, FeatureView, FileSource, Online, ViewSource
from include.errors import DataError
from tests.plugins.conftest import pin_catalog

FIVE = datetime(2013, 7, 1, 5, tzinfo=UTC)
HOUR = timedelta(hours=1)
GAUGES = Dataset(
    name="gauges",
    owner="ann",
    description="Levels of a river.",
    source=FileSource(path="gauges/{partition}.csv"),
    columns=(Column(name="town", dtype="string"), Column(name="level", dtype="number")),
    key=("town",),
    first_partition=date(2013, 7, 1),
    granularity="hour",
)
LEVELS = FeatureView(
    name="levels",
    owner="ann",
    description="Levels of the last two hours, at the end of an hour.",
    sources=(ViewSource(dataset="gauges", lookback_hours=1),),
    entity="town",
    time="at",
    granularity="hour",
    columns=(
        Column(name="town", dtype="string"),
        Column(name="at", dtype="timestamp"),
        Column(name="highest", dtype="number"),
    ),
    online=Online(days=2),
)


def build(frames, hour):
    """Return the highest level of each town in the hour and the hour before."""
    end = pd.Timestamp(hour) + HOUR
    highest = frames["gauges"].groupby("town", as_index=False).agg(highest=("level", "max"))
    return highest.assign(at=end.as_unit("us"), gauges_known_at=frames["gauges"][KNOWN_AT].max())


@pytest.fixture(autouse=True)
def _declared(monkeypatch, declare_dataset):
    declare_dataset(GAUGES)
    declared = catalog()
    views = {**declared.feature_views, LEVELS.name: LEVELS}
    pin_catalog(monkeypatch, Catalog(declared.datasets, views, declared.use_cases))
    monkeypatch.setattr(
        "include.data.features.build.declaration_module", lambda *_: SimpleNamespace(build=build)
    )


@pytest.fixture
def measure(lake, context):
    """Publish an hour of gauges as its run does, and return the keys that it announced to the view."""

    def publish(hour, level):
        rows = pd.DataFrame({"town": ["Bonn", "Köln"], "level": [level, level + 1]})
        staged = LakeHook().staging.write("some run", "gauges", with_partition_columns(rows, hour))
        run = context({"partition_key": f"{hour:%Y-%m-%dT%H}"})
        PublishDatasetOperator(task_id="publish", dataset="gauges", frame=staged).execute(run)
        return run["outlet_events"][assets.inputs_asset("levels")].partition_keys

    return publish


def run_features(context, key):
    """Run the tasks of the view's DAG for a partition, and return its context."""
    run = context({"partition_key": key})
    frame = operators.BuildFeaturesOperator(task_id="build", feature_view="levels").execute(run)
    operators.CheckLeakageOperator(task_id="check_leakage", feature_view="levels", frame=frame).execute(run)
    accepted = DataValidationOperator(task_id="validate", subject="levels", frame=frame).execute(run)
    publish = PublishPartitionOperator(
        task_id="publish", table="levels", frame=accepted, partitions_of="levels"
    )
    publish.execute(run)
    return operators.MaterialiseFeaturesOperator(task_id="materialise", feature_view="levels").execute(run)


def test_hours_follow_hours_and_come_online(measure, context, lake, database):
    assert measure(FIVE - HOUR, 9.0) == {"incomplete 2013-07-01T04"}
    assert measure(FIVE, 1.0) == {"2013-07-01T05"}
    assert measure(FIVE + HOUR, 2.0) == {"2013-07-01T06"}
    assert run_features(context, "2013-07-01T05")["rows"] == 2
    assert lake.partitions("levels") == [FIVE]
    assert lake.read("levels", [FIVE])["highest"].tolist() == [9.0, 10.0]
    # The hours of a day are written together, so that none of them is taken for vanished.
    assert run_features(context, "2013-07-01T06")["rows"] == 4
    with client.open_store(database.url) as opened:
        online = client.look_up(opened, LEVELS, {"town": ["Bonn", "Köln", "Trier"]})
    assert online["highest"].tolist()[:2] == [2.0, 3.0]
    assert online["highest"].isna().tolist() == [False, False, True]


def test_correction_rebuilds_the_hours_that_read_it_in_one_run(measure):
    for offset in range(3):
        measure(FIVE + (offset - 1) * HOUR, 1.0)
    assert measure(FIVE, 2.0) == {"2013-07-01T05..2013-07-01T06"}


def test_hour_that_has_not_begun_is_refused(context, lake, database):
    future = datetime.now(UTC) + 2 * HOUR
    with pytest.raises(DataError, match="has not begun yet"):
        run_features(context, f"{future:%Y-%m-%dT%H}")
