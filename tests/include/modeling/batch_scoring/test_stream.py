from __future__ import annotations

import threading
from datetime import date, timedelta

import pyarrow as pa
import pytest

from include.catalog import catalog
from include.data.feature_store.feature_rows import count_feature_rows, newest_versions, scan_feature_rows
from include.data.lake.delta_tables import Lake
from include.modeling.batch_scoring import stream
from include.modeling.batch_scoring.stream import read_ahead
from include.use_cases.air_time import USE_CASE

FIRST = date(2013, 1, 1)
DAYS = [FIRST, FIRST + timedelta(days=1)]


@pytest.fixture
def lake(tmp_path, flights):
    lake = Lake(str(tmp_path))
    frame = flights(days=2).drop(columns="_airworthy_target", errors="ignore")
    lake.publish(USE_CASE.feature_view, frame, DAYS, metadata={})
    return lake


class Scorer:
    use_case = USE_CASE

    @staticmethod
    def score(rows):
        return rows.select(["flight_id"])


def test_rows_come_in_groups_that_do_not_depend_on_files(lake, monkeypatch):
    monkeypatch.setattr(stream, "ROWS_PER_GROUP", 30)
    selection = catalog().features_of(USE_CASE)
    versions = newest_versions(selection, lake)
    tables = list(stream.score_partitions(Scorer(), selection, lake, DAYS, versions=versions))
    n_rows = count_feature_rows(selection, lake, DAYS, versions=versions)
    full, rest = divmod(n_rows, 30)
    assert [len(table) for table in tables] == [30] * full + [rest] * bool(rest)
    scored = pa.concat_tables(tables)["flight_id"].to_pylist()
    assert sorted(scored) == sorted(lake.read(USE_CASE.feature_view)["flight_id"])


def test_partitions_without_rows_are_one_empty_table(lake):
    day = date(2013, 1, 9)
    rows = lake.read(USE_CASE.feature_view).iloc[:0]
    lake.publish(USE_CASE.feature_view, rows, [day], metadata={})
    selection = catalog().features_of(USE_CASE)
    versions = newest_versions(selection, lake)
    (table,) = scan_feature_rows(
        selection, lake, [day], names=USE_CASE.features, versions=versions, rows_per_table=10
    )
    assert (len(table), set(USE_CASE.features) <= set(table.column_names)) == (0, True)
    assert count_feature_rows(selection, lake, [day], versions=versions) == 0


def test_rows_of_a_later_publication_are_not_read(lake):
    selection = catalog().features_of(USE_CASE)
    versions = newest_versions(selection, lake)
    before = count_feature_rows(selection, lake, DAYS, versions=versions)
    lake.publish(USE_CASE.feature_view, lake.read(USE_CASE.feature_view, DAYS[:1]), DAYS[:1], metadata={})
    lake.publish(USE_CASE.feature_view, lake.read(USE_CASE.feature_view).iloc[:0], DAYS, metadata={})
    tables = scan_feature_rows(
        selection, lake, DAYS, names=USE_CASE.features, versions=versions, rows_per_table=1_000
    )
    assert sum(map(len, tables)) == before > 0


def test_next_item_is_made_while_one_is_used():
    is_made = threading.Event()

    def make():
        yield 1
        is_made.set()
        yield 2

    items = read_ahead(make())
    assert next(items) == 1
    assert is_made.wait(10)
    assert list(items) == [2]


def test_error_of_an_item_is_raised():
    def fail():
        yield 1
        raise ValueError("no more")

    items = read_ahead(fail())
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)
