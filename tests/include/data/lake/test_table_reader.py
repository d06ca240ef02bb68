from __future__ import annotations

import time
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import WriterProperties

from include.data.lake import delta_tables
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY

DAYS = [date(2013, 1, 1) + timedelta(days=number) for number in range(4)]
ROWS_PER_GROUP = 4_096
GROUPS_PER_DAY = 16
ROWS_PER_DAY = ROWS_PER_GROUP * GROUPS_PER_DAY


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    numbers = np.arange(ROWS_PER_DAY * len(DAYS))
    rows = pd.DataFrame({"number": numbers, DAY: np.repeat(list(map(str, DAYS)), ROWS_PER_DAY)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delta_tables, "_WRITER_PROPERTIES", WriterProperties(max_row_group_size=ROWS_PER_GROUP))
        lake.publish("numbers", rows, DAYS, metadata={})
    return lake


def settled_bytes():
    """Return the bytes in Arrow's memory pool once nothing is read any more."""
    sizes = [pa.total_allocated_bytes()]
    while len(sizes) < 10 or len(set(sizes[-10:])) > 1:
        time.sleep(0.01)
        sizes.append(pa.total_allocated_bytes())
    return sizes[-1]


def test_scan_holds_a_few_row_groups(lake):
    before = settled_bytes()
    reader = lake.scan("numbers", columns=["number"])
    first = reader.read_next_batch()
    held = settled_bytes() - before
    groups = held / (ROWS_PER_GROUP * first["number"].type.byte_width)
    # The table has 64.
    assert 1 <= groups <= 10


def test_rows_are_in_order_of_the_files(lake):
    numbers = pa.chunked_array([batch["number"] for batch in lake.scan("numbers", DAYS[1:3])]).to_pylist()
    assert sorted(numbers) == list(range(ROWS_PER_DAY, 3 * ROWS_PER_DAY))
    assert sum(new != old + 1 for old, new in pairwise(numbers)) <= 1


def test_scan_that_is_not_read_to_its_end_is_closed(lake):
    batches = iter(lake.scan("numbers"))
    assert next(batches).num_rows == ROWS_PER_GROUP
    del batches
    assert lake.read_table("numbers", DAYS[:1]).num_rows == ROWS_PER_DAY
