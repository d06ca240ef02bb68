from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.data.lake.delta_tables import Lake
from include.declarations import Column
from include.inference.predictions import PREDICTION, VERSION
from include.monitoring import window_rows, windows
from include.monitoring.distributions import counts
from include.monitoring.distributions.counts import ColumnCounter
from include.monitoring.drift import measure_parts
from tests.include.monitoring.test_windows import NOW, SELECTION, USE_CASE, log, publish, row

NUMBER = Column(name="distance", dtype="number")
TEXT = Column(name="carrier", dtype="string")
DAYS = [date(2013, 7, 1), date(2013, 7, 2)]
VALUES = {
    "number": st.one_of(st.none(), st.integers(-5, 5), st.floats(), st.just("a"), st.booleans()),
    "string": st.one_of(st.none(), st.sampled_from(["a", "b", "<c>", ""])),
}


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def scan(database, lake, **options):
    with database.connect() as connection:
        window = windows.read_newest_window(connection, lake, USE_CASE, SELECTION, limit=10)
        parts = window_rows.scan_inputs(connection, lake, USE_CASE, SELECTION, window, **options)
        return window, list(parts), window_rows.count_served_and_scored(connection, lake, USE_CASE, window)


def publish_scores(lake, days):
    scores = pd.DataFrame({"flight_id": [f"{day}-1" for day in days], PREDICTION: 4.0, VERSION: 1})
    rows = scores.assign(_airworthy_day=list(map(str, days)))
    lake.publish("air_time_predictions", rows, days, metadata={})


def test_all_requests_are_read_beyond_the_sample(database, lake, monkeypatch):
    monkeypatch.setattr(window_rows, "ROWS_PER_PART", 7)
    log(database, *(row(number) for number in range(40)), row(99, role="shadow"))
    window, parts, counted = scan(database, lake)
    assert (len(window.inputs), window.requests, max(map(len, parts))) == (10, 40, 7)
    assert sorted(pd.concat(parts)["distance"]) == [100.0 + number for number in range(40)]
    assert counted == (40, 0)


def test_served_and_scored_rows_are_counted_apart(database, lake):
    recent = [NOW.date() - timedelta(days=age) for age in (1, 40)]
    publish_scores(lake, recent)
    inputs = [{"carrier": "UA", "distance": 1.0}] * 3
    log(database, row(1, inputs=inputs), row(2), row(3, status=500), row(4, inputs=None))
    assert scan(database, lake)[2] == (4, 1)


def test_scored_days_of_a_window_of_partitions_are_counted(database, lake):
    publish(lake, DAYS)
    publish_scores(lake, DAYS[1:])
    window, parts, counted = scan(database, lake)
    assert (window.source, sum(map(len, parts)), counted) == ("partitions", 2, (0, 1))
    assert window.predictions.empty


def test_window_without_rows_is_one_empty_part(database, lake):
    publish(lake, DAYS)
    lake.publish("flight_features", lake.read("flight_features").iloc[:0], DAYS, metadata={})
    _, parts, counted = scan(database, lake)
    assert ([len(part) for part in parts], counted) == ([0], (0, 0))


def test_rows_of_other_versions_that_lack_features_are_left_out(database, lake):
    log(database, row(1, inputs=[{"carrier": "UA"}], version=2), row(2))
    assert sum(map(len, scan(database, lake, version=1)[1])) == 1
    assert sum(map(len, scan(database, lake)[1])) == 2


def test_sample_has_each_kth_row(lake, monkeypatch):
    publish(lake, [DAYS[0] + timedelta(days=number) for number in range(9)])
    days = lake.days("flight_features")
    assert len(window_rows.sample_inputs(lake, USE_CASE, SELECTION, days, limit=4)) == 3
    assert len(window_rows.sample_inputs(lake, USE_CASE, SELECTION, days, limit=9)) == 9


@given(data=st.data(), column=st.sampled_from([NUMBER, TEXT]))
def test_counts_of_parts_are_those_of_all_rows(data, column):
    values = st.lists(VALUES[column.dtype], max_size=12)
    reference = pd.Series(data.draw(values), dtype=object)
    parts = [pd.Series(part, dtype=object) for part in data.draw(st.lists(values, max_size=4))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counts, "MAX_EXACT_ROWS", data.draw(st.sampled_from([3, 1_000])))
        counter = ColumnCounter(reference, column)
        for part in parts:
            counter.add(part)
        all_rows = pd.concat([pd.Series([], dtype=object), *parts], ignore_index=True)
        expected = counts.count_column(reference, all_rows, column)
        sides = counter.sides()
    assert (sides.unusable, sides.rows) == (expected.unusable, expected.rows)
    for measured, plain in zip(sides.counts, expected.counts, strict=True):
        np.testing.assert_array_equal(measured, plain)


def test_exact_counts_are_those_of_a_plain_count():
    parts = [pd.Series([1.0, np.inf, 2.0]), pd.Series([2.0, None]), pd.Series(["x", 1], dtype=object)]
    counter = ColumnCounter(pd.Series([1.0, 3.0]), NUMBER)
    for part in parts:
        counter.add(part)
    sides = counter.sides()
    assert sides.counts.values.tolist() == [1.0, 2.0, 3.0]
    assert sides.counts.current.tolist() == [2, 2, 0]
    assert (sides.unusable, sides.rows) == ((0, 3), (2, 7))


@pytest.mark.parametrize("value", [np.nan, np.inf, 7.0], ids=["missing", "infinite", "constant"])
@pytest.mark.parametrize("n_rows", [0, 1, 5])
def test_odd_columns_are_measured(value, n_rows):
    reference = pd.DataFrame({"distance": [1.0, 2.0, 3.0], "carrier": ["a", "b", "a"]})
    odd = pd.DataFrame({"distance": [value] * n_rows})
    measured, n_read = measure_parts(reference, [odd, odd], [NUMBER, TEXT])
    assert n_read == 2 * n_rows
    usable = 2 * n_rows if value == 7.0 else 0
    assert measured["distance"][0].unusable == (0, 2 * n_rows - usable)
    assert measured["carrier"][0].unusable == (0, 2 * n_rows)
