from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.snapshots import label_completeness
from include.data.snapshots import snapshot as snapshots
from include.data.snapshots.counted_days import Completeness
from include.errors import PartitionMissing

ONE, TWO, THREE, FOUR = (date(2013, 1, day) for day in (1, 2, 3, 4))
DELAY = catalog().use_cases["flight_delay"]
SPINE = catalog().spine_of(DELAY)


@pytest.fixture
def lose(real_lake):
    """Publish a day's arrivals anew, with only this share of their rows."""

    def publish(day, share):
        rows = real_lake.read("arrivals", [day])
        real_lake.publish("arrivals", rows.iloc[: round(share * len(rows))], [day], metadata={})

    return publish


def test_day_is_complete_when_all_flights_arrived_or_cancelled(real_lake, real_frames):
    completeness = label_completeness.label_completeness(DELAY, SPINE, real_lake, [ONE])[ONE]
    cancelled = real_frames["arrivals"].query("_airworthy_day == '2013-01-01'")["arr_delay"].isna().sum()
    assert completeness.share == 1
    assert completeness.rows - completeness.labelled == cancelled > 0


def test_labels_that_have_not_landed_are_missing(real_lake, lose):
    lose(TWO, 0.5)
    assert label_completeness.label_completeness(DELAY, SPINE, real_lake, [TWO])[TWO].share == pytest.approx(
        0.5, abs=0.01
    )


def test_a_day_without_any_label_is_no_more_than_empty(real_lake):
    rows = real_lake.read("flight_features", [ONE]).assign(_airworthy_day=str(FOUR))
    real_lake.publish("flight_features", rows, [FOUR], metadata={})
    completeness = label_completeness.label_completeness(DELAY, SPINE, real_lake, [THREE, FOUR])
    assert (completeness[THREE].share, completeness[FOUR].share) == (1, 0)


def test_day_without_rows_of_features_is_left_out(real_lake):
    rows = real_lake.read("flight_features", [ONE]).iloc[:0]
    real_lake.publish("flight_features", rows, [TWO], metadata={})
    assert set(label_completeness.label_completeness(DELAY, SPINE, real_lake, [ONE, TWO])) == {ONE}
    snapshot = snapshots.create(DELAY, real_lake, None)
    assert (snapshot.days, snapshot.excluded_days) == (("2013-01-01", "2013-01-03"), ())


def test_a_label_counts_once_and_only_for_its_own_day():
    rows = pd.DataFrame({"_airworthy_day": ["a", "a", "b"], "id": ["x", "y", "x"]})
    labels = pd.DataFrame(
        {"_airworthy_day": ["a", "a", "a"], "id": ["x", "x", "z"], "late": [None, None, 3.0]}
    )
    completeness = label_completeness.count_labels(rows, labels, ["id"], "late")
    assert completeness == {"a": Completeness(2, 1, 0), "b": Completeness(1, 0, 0)}


def test_days_are_counted_again_only_when_they_changed(real_lake, lose, monkeypatch):
    counted = []
    count_days = label_completeness._count_days

    def count(use_case, spine, lake, days, versions):
        counted.append(days)
        return count_days(use_case, spine, lake, days, versions)

    monkeypatch.setattr(label_completeness, "_count_days", count)
    days = [ONE, TWO, THREE]
    first = label_completeness.label_completeness(DELAY, SPINE, real_lake, days)
    assert label_completeness.label_completeness(DELAY, SPINE, real_lake, days) == first
    snapshots.create(DELAY, real_lake, None)
    assert counted == [days]
    lose(TWO, 0.5)
    again = label_completeness.label_completeness(DELAY, SPINE, real_lake, days)
    assert counted == [days, [TWO]]
    assert (again[ONE], again[TWO].landed < first[TWO].landed) == (first[ONE], True)


def test_old_version_has_its_own_counts(real_lake, lose):
    tables = ("flight_features", "arrivals")
    versions = {table: real_lake.version(table) for table in tables}
    before = label_completeness.label_completeness(DELAY, SPINE, real_lake, [TWO])
    lose(TWO, 0.5)
    assert label_completeness.label_completeness(DELAY, SPINE, real_lake, [TWO]) != before
    same = label_completeness.label_completeness(DELAY, SPINE, real_lake, [TWO], versions=versions)
    assert same == before


def test_day_with_too_few_labels_is_excluded_by_the_snapshot(real_lake, lose):
    lose(TWO, 0.89)
    snapshot = snapshots.create(DELAY, real_lake, None)
    assert (snapshot.days, snapshot.excluded_days) == (("2013-01-01", "2013-01-03"), ("2013-01-02",))
    assert snapshot.completeness == 1
    assert set(snapshots.read_snapshot(DELAY, snapshot, real_lake)["_airworthy_day"]) == {
        "2013-01-01",
        "2013-01-03",
    }


def test_day_with_just_enough_labels_is_used_by_the_snapshot(real_lake, lose):
    lose(TWO, 0.91)
    snapshot = snapshots.create(DELAY, real_lake, None)
    assert snapshot.excluded_days == ()
    assert 0.96 < snapshot.completeness < 0.98


def test_a_corrected_day_is_learnt_from_again(real_lake, lose):
    whole = real_lake.read("arrivals", [TWO])
    lose(TWO, 0.1)
    assert snapshots.create(DELAY, real_lake, None).excluded_days == ("2013-01-02",)
    real_lake.publish("arrivals", whole, [TWO], metadata={})
    assert snapshots.create(DELAY, real_lake, None).excluded_days == ()


def test_where_no_day_has_enough_there_is_nothing_to_learn(real_lake, lose):
    for day in (ONE, TWO, THREE):
        lose(day, 0.5)
    with pytest.raises(
        PartitionMissing, match=r"labels for at least 90% of its rows \(the best of 3 days has 50%\)"
    ):
        snapshots.create(DELAY, real_lake, None)
