from __future__ import annotations

import time
from datetime import date
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from include.data.lake import delta_tables, paced_batches
from include.data.lake.paced_batches import pace

BATCHES = [pa.record_batch({"x": [number]}) for number in range(3)]


@pytest.fixture
def memory(monkeypatch):
    """A list of the process's resident memory in bytes, one item a look; the last one stays."""
    sizes = [0]

    def look():
        return SimpleNamespace(rss=sizes.pop(0) if len(sizes) > 1 else sizes[0])

    monkeypatch.setattr(paced_batches.psutil, "Process", lambda: SimpleNamespace(memory_info=look))
    monkeypatch.setattr(paced_batches, "POLL_INTERVAL_S", 0.001)
    return sizes


def test_batches_of_a_small_process_pass_unchanged(memory):
    assert list(pace(iter(BATCHES), max_bytes=10)) == BATCHES


def test_batch_waits_until_earlier_rows_are_written(memory):
    batches = pace(iter(BATCHES), max_bytes=10)
    memory[:] = [0, 0]
    next(batches)
    memory[:] = [11, 11, 11, 10, 10]
    next(batches)
    assert memory == [10]


def test_memory_of_others_delays_but_does_not_stop(memory, monkeypatch):
    monkeypatch.setattr(paced_batches, "MAX_WAIT_S", 0.05)
    memory[:] = [0, 100]
    began = time.monotonic()
    assert list(pace(iter(BATCHES), max_bytes=10)) == BATCHES
    assert time.monotonic() - began >= 0.15


def test_published_rows_wait_for_the_writer(tmp_path, monkeypatch):
    paced = []

    def pace_and_count(batches):
        for batch in batches:
            paced.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(delta_tables, "pace", pace_and_count)
    day = date(2013, 1, 1)
    frame = pd.DataFrame({"x": [1.0, 2.0], "_airworthy_day": pd.Series([str(day)] * 2, dtype=object)})
    delta_tables.Lake(str(tmp_path)).publish("things", frame, [day], metadata={})
    assert sum(paced) == 2
