from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.data.whole_datasets import unchanged_since
from include.declarations import Column, Dataset, FileSource
from include.storage.staging import Staging

DAYS = [date(2026, 1, 1), date(2026, 1, 5)]
CUSTOMERS = Dataset(
    name="customers",
    owner="ann",
    description="Customers.",
    source=FileSource(path="customers.csv"),
    whole=True,
    columns=(Column(name="id", dtype="integer"), Column(name="plan", dtype="string", nullable=True)),
    key=("id",),
)
ROWS = pd.DataFrame({"id": [1, 2, 3], "plan": ["basic", None, "pro"]})


@pytest.fixture
def lake(tmp_path):
    """Return a lake with two readings, of which the second one has other rows."""
    lake = Lake(str(tmp_path))
    for day, rows in zip(DAYS, (ROWS.assign(plan="plus"), ROWS), strict=True):
        lake.publish("customers", rows.assign(_airworthy_day=str(day)), [day], metadata={})
    return lake


@pytest.fixture
def staged(tmp_path):
    """Return a function that stages rows."""
    staging = Staging(str(tmp_path))
    return lambda rows: staging.open(staging.write("run", "accepted", rows))


def test_same_rows_in_another_order_are_unchanged(lake, staged):
    read_again = (
        ROWS.sample(frac=1, random_state=1).astype({"id": "Int64"}).assign(_airworthy_day="2026-01-06")
    )
    assert unchanged_since(CUSTOMERS, lake, staged(read_again)) == DAYS[1]


@pytest.mark.parametrize(
    "changed",
    [
        ROWS[:2],
        ROWS.assign(plan=["basic", "None", "pro"]),
        ROWS.assign(plan="plus"),
        ROWS.assign(id=[1, 2, 2]),
    ],
    ids=["fewer rows", "a text for a null", "the rows before", "another key"],
)
def test_other_rows_are_news(lake, staged, changed):
    assert unchanged_since(CUSTOMERS, lake, staged(changed)) is None


def test_first_reading_is_news(tmp_path, staged):
    assert unchanged_since(CUSTOMERS, Lake(str(tmp_path)), staged(ROWS)) is None
