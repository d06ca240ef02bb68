from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog, declaration_module
from include.data.features import build as features
from include.data.lake.delta_tables import Lake
from include.data.lake.dtypes import to_frame
from include.data.reading.table import INTERNAL_COLUMNS
from include.data.sources.files import Landing
from include.stack.demo.flights_feed import land

DAYS = [date(2013, 1, day) for day in (1, 2, 3)]


@pytest.fixture(scope="session")
def landing(tmp_path_factory):
    """Return the files that have landed by the morning of 4 January."""
    folder = tmp_path_factory.mktemp("landing")
    land(str(folder), date(2013, 1, 4))
    return Landing(str(folder))


@pytest.fixture(scope="session")
def real_frames(landing):
    """Return the frames of 1 to 3 January by dataset."""
    tables = {name: landing.read(dataset, DAYS).table for name, dataset in catalog().datasets.items()}
    return {name: to_frame(table.drop_columns(list(INTERNAL_COLUMNS))) for name, table in tables.items()}


@pytest.fixture
def lake(storage_root):
    return Lake(f"{storage_root.uri}/lake", storage_root.options)


@pytest.fixture
def real_lake(lake, real_frames):
    """Return a lake with three days of the declared datasets and features."""
    for table, frame in real_frames.items():
        lake.publish(table, frame, DAYS, metadata={"run": "test"})
    view = catalog().feature_views["flight_features"]
    rows = features.build_features(view, declaration_module("features", view.name).build, lake, DAYS)
    lake.publish(view.name, rows, DAYS, metadata={"run": "test"})
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
