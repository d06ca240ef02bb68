from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.snapshot import Snapshot
from include.declarations import Fairness
from include.errors import DataError, PartitionMissing

ONE, TWO, THREE = (date(2013, 1, day) for day in (1, 2, 3))


ON_BOTH = pytest.mark.parametrize("storage_root", ["disk", "store"], indirect=True)


@pytest.fixture
def delay():
    return catalog().use_cases["flight_delay"]


def test_holds_only_days_whose_labels_had_landed(real_lake, delay):
    assert snapshots.create(delay, real_lake, THREE).days == ("2013-01-01", "2013-01-02")
    assert snapshots.create(delay, real_lake, TWO).days == ("2013-01-01", "2013-01-01")
    with pytest.raises(
        PartitionMissing, match="no day has both flight_features and arrivals as of 2013-01-01"
    ):
        snapshots.create(delay, real_lake, ONE)


def test_is_of_the_newest_labels_where_no_day_is_named(real_lake, delay):
    snapshot = snapshots.create(delay, real_lake, None)
    assert (snapshot.as_of, snapshot.days) == (date(2013, 1, 4), ("2013-01-01", "2013-01-03"))


def test_needs_features_and_labels(lake, delay):
    with pytest.raises(PartitionMissing, match="There is no table flight_features"):
        snapshots.create(delay, lake, None)


def test_rows_are_what_the_model_may_know_and_the_label(real_lake, delay, real_frames):
    snapshot = snapshots.create(delay, real_lake, None)
    frame = snapshots.read_snapshot(delay, snapshot, real_lake)
    assert list(frame.columns) == [
        "flight_id",
        "station",
        "scheduled_departure",
        "_airworthy_day",
        *delay.features,
        "_airworthy_target",
        "_airworthy_raw_label",
    ]
    assert (len(frame), str(frame["_airworthy_target"].dtype)) == (snapshot.rows, "int64")
    arrivals = real_frames["arrivals"].dropna(subset=["arr_delay"])
    assert dict(zip(frame["flight_id"], frame["_airworthy_target"], strict=True)) == dict(
        zip(arrivals["flight_id"], (arrivals["arr_delay"] > 15).astype(int), strict=True)
    )


def test_snapshot_includes_auxiliary_columns_of_gates(real_lake, delay):
    gate = Fairness(column="origin", metrics=("roc_auc",), maximum_gap=0.2)
    features = tuple(name for name in delay.features if name not in ("origin", "hour"))
    judged = delay.model_copy(update={"features": features, "gates": (gate,), "baseline_by": ("hour",)})
    frame = snapshots.read_snapshot(judged, snapshots.create(judged, real_lake, None), real_lake)
    assert {"origin", "hour"} <= set(frame.columns)
    assert frame["origin"].notna().all()


def test_the_label_of_a_regression_is_its_value(real_lake, real_frames):
    air_time = catalog().use_cases["air_time"]
    frame = snapshots.read_snapshot(air_time, snapshots.create(air_time, real_lake, None), real_lake)
    assert frame["_airworthy_target"].sum() == real_frames["arrivals"]["air_time"].sum()


@ON_BOTH
def test_the_same_rows_are_read_after_the_tables_changed(real_lake, delay):
    snapshot = snapshots.create(delay, real_lake, None)
    before = snapshots.read_snapshot(delay, snapshot, real_lake)
    features = real_lake.read("flight_features", [ONE])
    real_lake.publish("flight_features", features.assign(temp=0.0), [ONE], metadata={})
    real_lake.publish("arrivals", real_lake.read("arrivals", [TWO]).iloc[:5], [TWO], metadata={})
    pd.testing.assert_frame_equal(snapshots.read_snapshot(delay, snapshot, real_lake), before)
    assert snapshots.create(delay, real_lake, None).digest != snapshot.digest


def test_the_order_in_which_rows_were_published_does_not_matter(real_lake, delay, storage_root):
    other = Lake(f"{storage_root.uri}/other", storage_root.options)
    for table in ("flight_features", "arrivals"):
        for day in (THREE, ONE, TWO):
            rows = real_lake.read(table, [day]).sample(frac=1, random_state=1)
            other.publish(table, rows, [day], metadata={})
    hours = real_lake.partitions("airport_weather")
    other.publish("airport_weather", real_lake.read("airport_weather")[::-1], hours, metadata={})
    assert snapshots.create(delay, other, None).digest == snapshots.create(delay, real_lake, None).digest


def test_other_rows_than_those_that_were_taken_are_refused(real_lake, delay):
    snapshot = snapshots.create(delay, real_lake, None)
    newer = real_lake.publish("arrivals", real_lake.read("arrivals", [TWO]).iloc[1:], [TWO], metadata={})
    with pytest.raises(
        DataError, match="flight_delay: the rows of the snapshot as of 2013-01-04 have changed"
    ):
        snapshots.read_snapshot(delay, replace(snapshot, label_version=newer), real_lake)
    with pytest.raises(DataError, match="The snapshot belongs to flight_delay, not to air_time"):
        snapshots.read_snapshot(catalog().use_cases["air_time"], snapshot, real_lake)


def test_an_entity_twice_a_day_is_an_error_and_no_double_row(real_lake, delay):
    rows = real_lake.read("arrivals", [TWO])
    real_lake.publish("arrivals", pd.concat([rows, rows.dropna().iloc[:1]]), [TWO], metadata={})
    with pytest.raises(DataError, match="flight_id occurs more than once per day"):
        snapshots.create(delay, real_lake, None)


def test_travels_as_json(real_lake, delay):
    snapshot = snapshots.create(delay, real_lake, TWO)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot
    for text in ("", "[]", "{}", snapshot.to_json().replace("digest", "digset")):
        with pytest.raises(DataError, match="is not a snapshot"):
            Snapshot.from_json(text)


def test_row_hashes_are_equal_exactly_for_equal_rows():
    frame = pd.DataFrame({"id": ["a", "b", "a"], "x": [1.0, np.nan, 1.0]})
    first, second, third = snapshots.row_hashes(frame)
    assert (first == third, first == second) == (True, False)
    changed = snapshots.row_hashes(frame.assign(x=[1.0, 0.0, 1.0]))
    assert (changed == snapshots.row_hashes(frame)).tolist() == [True, False, True]


def test_hashes_of_old_snapshots_stay_comparable():
    assert snapshots.row_hashes(pd.DataFrame({"id": ["a"], "x": [1.5]})).tolist() == [12649548917865190507]
