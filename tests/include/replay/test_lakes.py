from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.errors import PartitionMissing
from include.monitoring import window_rows
from include.replay.lakes import FrozenLake, StrategyLake
from include.use_cases.air_time import USE_CASE

DAYS = [date(2013, 1, 1), date(2013, 1, 2), date(2013, 1, 3)]
SELECTION = catalog().features_of(USE_CASE)


@pytest.fixture
def lake(tmp_path, flights):
    folder = tmp_path / "history"
    Lake(str(folder)).publish(USE_CASE.feature_view, flights(days=3), DAYS, metadata={})
    history = FrozenLake(str(folder))
    return StrategyLake(str(tmp_path / "own"), history=history, own="air_time_predictions")


def test_window_in_memory_has_the_rows_of_the_lake(lake):
    stored = Lake(lake.history.uri)
    for limit in (10, 1_000_000):
        samples = [
            window_rows.sample_inputs(source, USE_CASE, SELECTION, DAYS[1:], limit=limit).sort_values(
                list(USE_CASE.features), ignore_index=True
            )
            for source in (lake, stored)
        ]
        assert 0 < len(samples[0]) == len(samples[1]) <= limit
    pd.testing.assert_frame_equal(*samples)


def test_day_without_a_publication_is_missing(lake):
    with pytest.raises(PartitionMissing):
        list(window_rows.scan_partitions(lake, USE_CASE, SELECTION, [DAYS[-1] + timedelta(days=1)]))
