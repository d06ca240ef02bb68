"""Figures of accepted rows over several batches."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from include.data.validation.batch import Batch
from include.data.validation.statistics import AcceptedStatistics, Sample

ONE = date(2013, 1, 1)
TWO = date(2013, 1, 2)


def batch(days, **columns):
    return Batch.of(pd.DataFrame(columns | {"_airworthy_day": days}), [ONE, TWO])


def test_batches_add_up_by_partition():
    moments = pd.to_datetime(["2013-01-01T05:00Z", "2013-01-01T04:00Z", None]).as_unit("us")
    parts = [
        batch([str(ONE), str(ONE), str(TWO)], n=[1.0, None, 3.0], at=moments),
        batch([str(ONE)], n=[4.0], at=moments[1:2]),
    ]
    statistics = AcceptedStatistics.of(parts, moments=["at"], sampled=["n"])
    assert (statistics.rows.tolist(), statistics.incoming_rows.tolist()) == ([3, 1], [3, 1])
    assert statistics.nulls("n").tolist() == [1, 0]
    assert statistics.newest("at") == [datetime(2013, 1, 1, 5, tzinfo=UTC), None]
    assert statistics.sample("n", 0).tolist() == pytest.approx([1.0, np.nan, 4.0], nan_ok=True)


@pytest.mark.parametrize("sizes", [[64], [1] * 64, [7, 1, 20, 3, 33]])
def test_sample_is_the_same_however_rows_come(sizes):
    sample = Sample(size=8)
    numbers = np.arange(64)
    for part in np.split(numbers, np.cumsum(sizes)[:-1]):
        sample.add(pa.chunked_array([pa.array(part)]))
    values = sample.values().tolist()
    steps = set(np.diff(values).tolist())
    assert values[0] == 0
    assert steps == {4}
    assert len(values) == 16


def test_small_column_is_sampled_whole():
    sample = Sample(size=8)
    sample.add(pa.chunked_array([pa.array(["a", None, "b"])]))
    assert sample.values().tolist() == ["a", None, "b"]
    assert Sample().values().empty
