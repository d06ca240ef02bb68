"""The batch: rows and the partition of each."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from include.data.validation.batch import Batch
from include.errors import DataError

DAYS = [date(2013, 1, 2), date(2013, 1, 1)]
FRAME = pd.DataFrame({"id": list("abcd"), "_airworthy_day": ["2013-01-02", "2013-01-01", "2013-01-03", None]})


def test_batch_of_days_has_the_position_of_each_row():
    batch = Batch.of(FRAME, DAYS)
    assert batch.positions.tolist() == [1, 0, -1, -1]
    assert batch.is_requested.tolist() == [True, True, False, False]
    assert batch.incoming_rows.tolist() == [1, 1]


def test_batch_of_hours_has_the_position_of_each_row():
    hours = [datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in (4, 5)]
    frame = pd.DataFrame({"_airworthy_day": "2013-01-01", "_airworthy_hour": ["05", "04", "06"]})
    batch = Batch.of(frame, hours)
    assert batch.positions.tolist() == [1, 0, -1]
    assert batch.select(batch.is_requested).partition_names == ["2013-01-01T05", "2013-01-01T04"]


def test_selection_keeps_row_numbers_and_incoming_rows():
    selected = Batch.of(FRAME.set_index("id", drop=False), DAYS).select(np.array([False, True, True, False]))
    assert selected.frame.index.tolist() == [1, 2]
    assert selected.positions.tolist() == [0, -1]
    assert selected.count_rows().tolist() == [1, 0]
    assert selected.count_rows(np.array([False, True])).tolist() == [0, 0]
    assert selected.incoming_rows.tolist() == [1, 1]


def test_rows_without_partition_columns_are_an_error():
    with pytest.raises(DataError, match="need a column `_airworthy_day`"):
        Batch.of(FRAME.drop(columns="_airworthy_day"), DAYS)
    with pytest.raises(DataError, match=r"`_airworthy_day` \(YYYY-MM-DD\) and `_airworthy_hour` \(HH\)"):
        Batch.of(FRAME, [datetime(2013, 1, 1, tzinfo=UTC)])
    with pytest.raises(DataError, match="each column once"):
        Batch.of(pd.concat([FRAME, FRAME[["id"]]], axis=1), DAYS)


def test_unpartitioned_batch_requests_no_row():
    batch = Batch.unpartitioned(FRAME)
    assert not batch.is_requested.any()
    assert batch.count_rows().tolist() == []
