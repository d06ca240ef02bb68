from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import pandas as pd
import pytest
from pyarrow.fs import FileSelector

from include.catalog import catalog, declaration_module
from include.data.features import build as features
from include.data.lake.delta_tables import Lake
from include.data.sources.files import Landing
from include.stack.demo.flights_feed import land
from include.storage import filesystem

DAYS = [date(2013, 1, day) for day in (1, 2, 3)]
# Their tests play on a disk and in an object store; all others on a disk alone.
STORES = ("files", "idempotence", "delta_tables", "reports", "staging", "filesystem")
ON_BOTH = {f"test_{name}" for name in STORES}


@dataclass(frozen=True)
class Place:
    """An address below which there is nothing yet."""

    uri: str
    options: dict[str, str] = field(default_factory=dict, repr=False)

    def put(self, path, content):
        filesystem.write_file(self.files(), path, content)

    def files(self):
        return filesystem.open_filesystem(self.uri, self.options)

    def paths(self, folder):
        found = self.files().get_file_info(FileSelector(folder, recursive=True))
        return [entry.path for entry in found if entry.is_file]


def pytest_generate_tests(metafunc):
    if "place" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        metafunc.parametrize("place", ["disk", "store"], indirect=True)


@pytest.fixture
def place(request, tmp_path):
    if getattr(request, "param", "disk") == "disk":
        return Place(str(tmp_path))
    store = request.getfixturevalue("object_store")
    return Place(store.address(), store.options())


@pytest.fixture(scope="session")
def landing(tmp_path_factory):
    """Real flights as they had landed on the morning of 4 January; weather and flights of that day too."""
    folder = tmp_path_factory.mktemp("landing")
    land(str(folder), date(2013, 1, 4))
    return Landing(str(folder))


@pytest.fixture(scope="session")
def real_frames(landing):
    """The three datasets of 1 to 3 January, by name."""
    return {name: landing.read(dataset, DAYS).rows for name, dataset in catalog().datasets.items()}


@pytest.fixture
def lake(place):
    return Lake(f"{place.uri}/lake", place.options)


@pytest.fixture
def real_lake(lake, real_frames):
    """A lake with three real days of the datasets and their features."""
    for table, frame in real_frames.items():
        lake.publish(table, frame, DAYS, metadata={"run": "test"})
    view = catalog().feature_views["flight_features"]
    rows = features.build_features(view, declaration_module("features", view.name).build, lake, DAYS)
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
