from __future__ import annotations

import pytest

from include.catalog import catalog
from include.errors import PartitionMissing
from include.governance.profile import sample as samples
from include.governance.profile.sample import read_sample

COLUMNS = catalog().datasets["arrivals"].columns


def test_small_table_is_read_whole(arrivals):
    sample = read_sample(arrivals, "arrivals", COLUMNS)
    assert sample.describe() == "All 160 rows of 4 partitions."
    assert sorted(sample.names.unique()) == ["2013-07-01", "2013-07-02", "2013-07-03", "2013-07-04"]


def test_large_table_is_sampled_and_says_so(arrivals, monkeypatch):
    monkeypatch.setattr(samples, "MAX_ROWS", 50)
    monkeypatch.setattr(samples, "MAX_PARTITIONS", 2)
    sample = read_sample(arrivals, "arrivals", COLUMNS)
    assert (len(sample.frame), len(sample.names)) == (50, 50)
    assert [str(day) for day in sample.partitions] == ["2013-07-01", "2013-07-04"]
    assert sample.describe().startswith("A sample of 50 of 160 rows, from 2 of 4 partitions")


def test_reading_is_bounded_by_rows(arrivals, monkeypatch):
    monkeypatch.setattr(samples, "MAX_READ_ROWS", 10)
    sample = read_sample(arrivals, "arrivals", COLUMNS)
    assert [str(day) for day in sample.partitions] == ["2013-07-04"]


def test_table_without_rows_is_refused(lake):
    with pytest.raises(PartitionMissing, match="arrivals has no rows to profile"):
        read_sample(lake, "arrivals", COLUMNS)
