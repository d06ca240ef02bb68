from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.catalog import catalog, module_of
from include.data import features
from include.data.lake import Lake
from include.data.landing import Landing
from include.stack.feed import land

DAYS = [date(2013, 1, day) for day in (1, 2, 3)]


@pytest.fixture(scope="session")
def landing(tmp_path_factory):
    """Real flights as they had landed on the morning of 4 January; weather and flights of that day too."""
    folder = tmp_path_factory.mktemp("landing")
    land(str(folder), date(2013, 1, 4))
    return Landing(str(folder))


@pytest.fixture(scope="session")
def real_frames(landing):
    """The three datasets of 1 to 3 January, by name."""
    return {name: landing.read(dataset, DAYS) for name, dataset in catalog().datasets.items()}


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def real_lake(lake, real_frames):
    """A lake with three real days of the datasets and their features."""
    for table, frame in real_frames.items():
        lake.publish(table, frame, DAYS, metadata={"run": "test"})
    view = catalog().feature_views["flight_features"]
    rows = features.build(view, module_of("features", view.name).build, lake, DAYS)
    lake.publish(view.name, rows, DAYS, metadata={"run": "test"})
    return lake


@pytest.fixture
def rows():
    """Two days of a small table: `rows(n)` gives n rows a day."""

    def build(count=3, days=("2013-01-01", "2013-01-02")):
        return pd.DataFrame(
            {
                "id": [f"{day}-{number}" for day in days for number in range(count)],
                "speed": [float(number) for _ in days for number in range(count)],
                "day": [day for day in days for _ in range(count)],
            }
        )

    return build
