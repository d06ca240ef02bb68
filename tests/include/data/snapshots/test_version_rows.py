from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.version_rows import version_rows
from include.errors import DataError
from include.specifications import declared_specification

DELAY = catalog().use_cases["flight_delay"]


def without(*names):
    features = tuple(name for name in DELAY.features if name not in names)
    return DELAY.model_copy(update={"features": features, "gates": (), "baseline_by": ()})


@pytest.fixture
def taken(real_lake):
    """Return a snapshot of a candidate without some features, and its rows."""
    candidate = without("distance", "carrier")
    snapshot = snapshots.create(candidate, real_lake, None)
    return snapshot, snapshots.read_snapshot(candidate, snapshot, real_lake)


def test_features_that_the_rows_lack_are_read_row_for_row(real_lake, taken):
    snapshot, rows = taken
    test = rows.iloc[::7]
    read = version_rows(declared_specification(DELAY), snapshot, real_lake, test)
    assert read.index.equals(test.index)
    published = real_lake.read("flight_features").set_index("flight_id").loc[test["flight_id"]]
    for name in ("distance", "carrier"):
        pd.testing.assert_series_equal(
            read[name].reset_index(drop=True), published[name].reset_index(drop=True), check_names=False
        )


def test_rows_with_the_same_features_are_not_read_again(taken):
    snapshot, rows = taken
    specification = declared_specification(without("distance", "carrier", "dest"))
    assert version_rows(specification, snapshot, None, rows) is rows


def test_rows_are_read_at_the_version_of_the_snapshot(real_lake, taken):
    snapshot, rows = taken
    day = date(2013, 1, 1)
    changed = real_lake.read("flight_features", [day]).assign(distance=-99.0)
    real_lake.publish("flight_features", changed, [day], metadata={})
    read = version_rows(declared_specification(DELAY), snapshot, real_lake, rows)
    assert (read["distance"] != -99.0).all()


def test_rows_with_other_keys_are_refused(real_lake, taken):
    snapshot, rows = taken
    specification = declared_specification(DELAY)
    selection = specification.selection
    spine = replace(selection.spine, keys=("dest",))
    other = specification.model_copy(update={"selection": replace(selection, spine=spine)})
    with pytest.raises(DataError, match="its rows are those of flight_features by dest"):
        version_rows(other, snapshot, real_lake, rows)


def test_row_that_does_not_exist_is_named(real_lake, taken):
    snapshot, rows = taken
    unknown = rows.assign(flight_id=rows["flight_id"].where(rows.index > 1, "nowhere"))
    with pytest.raises(DataError, match=r"2 of .* rows do not exist in flight_features"):
        version_rows(declared_specification(DELAY), snapshot, real_lake, unknown)
