from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.data.validation.checks.referenced_keys import ReferencedKeys
from include.declarations import ForeignKey

FIRST = date(2013, 1, 1)
KEY = ForeignKey(columns=("shop",), dataset="shops", references=("code",))


@pytest.fixture
def search(lake, monkeypatch):
    """Return a function that publishes days of keys and returns the unmatched rows and the days read."""

    def run(keys_by_day, *searched, foreign_key=KEY):
        days = [FIRST + timedelta(days=offset) for offset in range(len(keys_by_day))]
        parts = [
            pd.DataFrame({"code": keys, "_airworthy_day": str(day)})
            for day, keys in zip(days, keys_by_day, strict=True)
        ]
        lake.publish("shops", pd.concat(parts), days, metadata={})
        read = []
        scan = Lake.scan

        def count(lake, table, partitions, **options):
            read.extend((partition - FIRST).days for partition in partitions)
            return scan(lake, table, partitions, **options)

        monkeypatch.setattr(Lake, "scan", count)
        keys = ReferencedKeys(foreign_key, lake)
        return [keys.unmatched(pd.DataFrame({"shop": values})) for values in searched], read

    return run


@pytest.mark.parametrize("n_days", [8, 40])
def test_older_partitions_are_not_read_without_need(search, n_days):
    keys_by_day = [[day, 1_000 - day] for day in range(n_days)]
    unmatched, read = search(keys_by_day, [n_days - 1, n_days - 2])
    assert (unmatched, len(read)) == ([[]], 4)


@pytest.mark.parametrize("n_days", [8, 40])
def test_partition_that_cannot_hold_a_key_is_not_read(search, n_days):
    keys_by_day = [[10 * day, 10 * day + 5] for day in range(n_days)]
    unmatched, read = search(keys_by_day, [10_000, 21, -1, 20])
    assert (unmatched, read) == ([[0, 1, 2]], [2])


def test_old_keys_are_found_and_partitions_read_once(search):
    keys_by_day = [[f"{day:02}", "zz"] for day in range(20)]
    unmatched, read = search(keys_by_day, ["00", "19"], ["03", "?", "07"])
    assert unmatched == [[], [1]]
    assert sorted(read) == list(range(20))


def test_declared_partitions_bound_the_search(search):
    newest = KEY.model_copy(update={"partitions": 2})
    unmatched, read = search([[day] for day in range(9)], [8, 7, 6], foreign_key=newest)
    assert (unmatched, sorted(read)) == ([[2]], [7, 8])


def test_moment_with_microseconds_is_found(search):
    moments = [[pd.Timestamp(f"2013-01-{day:02}T10:00:00.123456Z")] for day in range(1, 9)]
    unmatched, read = search(moments, pd.Series(moments[0], dtype="datetime64[us, UTC]"))
    assert (unmatched, read) == ([[]], [0])
