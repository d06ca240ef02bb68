"""A snapshot is read as it was created, whatever happens to the tables afterwards."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.data.snapshots import snapshot as snapshots
from include.errors import DataError

USE_CASE = catalog().use_cases["air_time"]
DAYS = [date(2013, 1, day) for day in (1, 2, 3)]
TABLES = ("flight_features", "arrivals")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from(TABLES), st.sampled_from(DAYS), st.integers(0, 9)),
        st.tuples(st.just("widen"), st.sampled_from(TABLES), st.sampled_from(DAYS), st.integers(0, 2)),
        st.tuples(st.just("maintain"), st.sampled_from(TABLES), st.just(None), st.sampled_from([0, 30])),
        st.tuples(st.just("snapshot"), st.just(""), st.just(None), st.just(0)),
    ),
    min_size=4,
    max_size=10,
)


def rows(table, day, seed):
    ids = [f"{day}-{number}" for number in range(4)]
    if table == "arrivals":
        return pd.DataFrame(
            {"flight_id": ids, "air_time": [100.0 + seed, 90.0, 80.0, 70.0], "_airworthy_day": str(day)}
        )
    features = {"carrier": "UA", "origin": "EWR", "dest": "SFO", "distance": 100.0 + seed, "hour": 5}
    features |= {"wind_speed": [float(seed), None, 3.0, 4.0], "pressure": 1000.0}
    moment = pd.Timestamp(day, tz="UTC").as_unit("us")
    return pd.DataFrame(
        {"flight_id": ids, "scheduled_departure": moment, **features, "_airworthy_day": str(day)}
    )


def pinned(table, taken):
    """Return the table versions that snapshots name, as the registry returns them for maintenance."""
    field = "feature_version" if table == "flight_features" else "label_version"
    return {getattr(snapshot, field) for snapshot, _ in taken}


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps)
def test_snapshot_rows_stay_equal_after_any_table_changes(done):
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder)
        taken = []
        width = 0
        for table in TABLES:
            for day in DAYS:
                lake.publish(table, rows(table, day, 0), [day], metadata={})
        for step, table, day, number in [("snapshot", "", None, 0), *done]:
            if step == "snapshot":
                snapshot = snapshots.create(USE_CASE, lake, None)
                taken.append((snapshot, snapshots.read_snapshot(USE_CASE, snapshot, lake)))
            elif step == "maintain":
                lake.optimize_and_vacuum(table, timedelta(days=number), keep_versions=pinned(table, taken))
            else:
                width += step == "widen"
                added = {f"new_{width}": float(number)} if step == "widen" else {}
                lake.publish(table, rows(table, day, number).assign(**added), [day], metadata={})
        for snapshot, frame in taken:
            pd.testing.assert_frame_equal(
                snapshots.read_snapshot(USE_CASE, snapshot, lake), frame, check_exact=True
            )


def test_unpinned_version_is_an_error_after_its_retention(tmp_path):
    lake = Lake(str(tmp_path))
    for table in TABLES:
        lake.publish(table, pd.concat([rows(table, day, 0) for day in DAYS]), DAYS, metadata={})
    snapshot = snapshots.create(USE_CASE, lake, None)
    lake.publish("arrivals", rows("arrivals", DAYS[0], 1), DAYS[:1], metadata={})
    lake.optimize_and_vacuum("arrivals", timedelta(0))
    with pytest.raises(DataError, match="of arrivals cannot be read, since its files were deleted"):
        snapshots.read_snapshot(USE_CASE, snapshot, lake)
