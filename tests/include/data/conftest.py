from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.features import build as features
from include.data.lake.delta_tables import Lake
from include.data.lake.dtypes import to_frame
from include.data.reading.table import INTERNAL_COLUMNS
from include.data.sources.files import Landing
from include.stack.demo.flights_feed import land

DAYS = [date(2013, 1, day) for day in (1, 2, 3)]


def partitions_of(declared):
    """Return the three days, or their hours."""
    return declared.calendar.parse(f"{DAYS[0]}..{DAYS[-1]}")


@pytest.fixture(scope="session")
def landing(tmp_path_factory):
    """Return the files that have landed by the morning of 4 January."""
    folder = tmp_path_factory.mktemp("landing")
    land(str(folder), date(2013, 1, 4))
    return Landing(str(folder))


@pytest.fixture(scope="session")
def real_frames(landing):
    """Return the frames of 1 to 3 January by dataset."""
    tables = {
        name: landing.read(dataset, partitions_of(dataset)).table
        for name, dataset in catalog().datasets.items()
    }
    return {name: to_frame(table.drop_columns(list(INTERNAL_COLUMNS))) for name, table in tables.items()}


@pytest.fixture
def lake(storage_root):
    return Lake(f"{storage_root.uri}/lake", storage_root.options)


@pytest.fixture(scope="session")
def real_features(tmp_path_factory, real_frames):
    """Return the rows of the declared feature views on these days by view."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for table, frame in real_frames.items():
        lake.publish(table, frame, partitions_of(catalog().datasets[table]), metadata={"run": "test"})
    return {
        name: features.build_features(view, features.build_function(view), lake, partitions_of(view))
        for name, view in catalog().feature_views.items()
    }


@pytest.fixture
def real_lake(lake, real_frames, real_features):
    """Return a lake with three days of the declared datasets and features."""
    for table, frame in {**real_frames, **real_features}.items():
        # Hours are many small files; of reports, the features are enough.
        if table != "weather_reports":
            lake.publish(table, frame, partitions_of(catalog().sources[table]), metadata={"run": "test"})
    return lake


@pytest.fixture
def rows():
    """Return a function that builds a small table of `count` rows a day."""

    def build(count=3, days=("2013-01-01", "2013-01-02")):
        return pd.concat([rows_of_day(day, count) for day in days], ignore_index=True)

    def rows_of_day(day, count):
        numbers = range(count)
        return pd.DataFrame(
            {
                "id": [f"{day}-{number}" for number in numbers],
                "speed": [float(number) for number in numbers],
                "_airworthy_day": day,
            }
        )

    return build
