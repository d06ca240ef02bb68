from __future__ import annotations

from datetime import date
from unittest.mock import create_autospec

import pandas as pd
import pytest
from sqlalchemy import insert

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY as DAY_COLUMN
from include.database.tables import desired_state, snapshot
from include.modeling.registry.registry import Registry

DAY = date(2013, 7, 1)


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def registry():
    """Return a double of the registry, in which each model has two versions."""
    registry = create_autospec(Registry, instance=True)
    registry.search_versions.return_value = [{"version": 2}, {"version": 1}]
    return registry


@pytest.fixture
def publish(lake):
    """Return a function that publishes rows of one day."""

    def run(table, day=DAY, **columns):
        return lake.publish(table, pd.DataFrame(columns | {DAY_COLUMN: str(day)}), [day], metadata={})

    return run


@pytest.fixture
def serve(database):
    """Return a function that makes a version the champion, trained on a snapshot of two tables."""

    def run(use_case, view="plane_features", labels="repairs", *, champion=3, versions=(0, 0)):
        values = {
            "use_case": use_case, "digest": f"{use_case}-digest", "feature_version": versions[0],
            "label_version": versions[1], "feature_view": view, "label_dataset": labels, "as_of": DAY,
            "first_day": DAY, "last_day": DAY, "excluded_days": [], "rows": 3, "run": "a run",
        }  # fmt: skip
        with database.begin() as connection:
            connection.execute(
                insert(desired_state).values(use_case=use_case, champion=champion, generation=1)
            )
            connection.execute(insert(snapshot).values(values))

    return run
