"""A partition without rows passes all tasks: of a dataset, of a dated view, and of a file read whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from airworthy.operators.data_validation import DataValidationOperator
from airworthy.operators.features import (
    BuildFeaturesOperator,
    CheckLeakageOperator,
    MaterialiseFeaturesOperator,
)
from airworthy.operators.publication import PublishSourceOperator
from include.catalog import catalog
from include.data.feature_store import client
from include.declarations import KNOWN_AT, Column, Dataset, FeatureView, FileSource, Online, ViewSource
from tests.plugins.conftest import pin_catalog

SHOP = Column(name="shop", dtype="integer")
SALES = Column(name="sales", dtype="number")
AT = Column(name="at", dtype="timestamp")
COMMON = {"owner": "ann", "description": "Shops.", "volume": (0, 100)}
DAILY = Dataset(
    name="sold", source=FileSource(path="sold/{partition}.csv"), key=("shop",), columns=(SHOP, SALES),
    first_partition=date(2013, 1, 1), **COMMON,
)  # fmt: skip
WHOLE = Dataset(
    name="shops", source=FileSource(path="shops.csv"), whole=True, key=("shop",), columns=(SHOP, SALES),
    **COMMON,
)  # fmt: skip
DATED_VIEW = FeatureView(
    name="sold_features", sources=(ViewSource(dataset="sold"),), entity="shop", time="at",
    columns=(SHOP, AT, SALES), online=Online(days=1), **COMMON,
)  # fmt: skip
UNDATED_VIEW = FeatureView(
    name="shop_features", sources=(ViewSource(dataset="shops"),), entity="shop", columns=(SHOP, SALES),
    online=Online(), **COMMON,
)  # fmt: skip


def build(frames, day):
    """Return the sales of a day at its end."""
    sold = frames["sold"]
    end = (pd.Timestamp(day, tz="UTC") + pd.Timedelta(days=1)).as_unit("us")
    return sold[["shop", "sales"]].assign(at=end, sold_known_at=sold[KNOWN_AT])


@pytest.fixture(autouse=True)
def _declared(monkeypatch, context):
    declared = catalog()
    datasets = {**declared.datasets, "sold": DAILY, "shops": WHOLE}
    views = {view.name: view for view in (DATED_VIEW, UNDATED_VIEW)}
    pin_catalog(monkeypatch, replace(declared, datasets=datasets, feature_views=views, use_cases={}))

    def module(_, name, *__):
        return SimpleNamespace(**({"build": build} if name == "sold_features" else {}))

    monkeypatch.setattr("include.data.features.build.declaration_module", module)


@pytest.fixture
def publish(lake, ingest, context):
    """Return a function that lands rows of a day, and runs the tasks of the dataset and of its view."""

    def run(dataset, view, day, rows):
        path = Path(lake.uri).parent / "landing" / dataset.source.path.replace("{partition}", day)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("shop,sales\n" + rows)
        ingest(dataset, first=day, run_type="manual")
        ran = context({"partition_key": day, "run_id": f"run__{day}"})
        frame = BuildFeaturesOperator(task_id="build", feature_view=view).execute(ran)
        CheckLeakageOperator(task_id="check", feature_view=view, frame=frame).execute(ran)
        checked = DataValidationOperator(task_id="validate", subject=view, frame=frame).execute(ran)
        PublishSourceOperator(task_id="publish", table=view, frame=checked, outlets=[]).execute(ran)
        MaterialiseFeaturesOperator(task_id="materialise", feature_view=view).execute(ran)

    return run


@pytest.mark.parametrize(("dataset", "view"), [(DAILY, DATED_VIEW), (WHOLE, UNDATED_VIEW)])
def test_partition_without_rows_is_built_and_comes_online(dataset, view, publish, lake, database):
    days = [date(2013, 1, day) for day in (1, 2, 3)]
    observed = []
    for day, rows in zip(days, ("", "1,5.5\n", ""), strict=True):
        publish(dataset, view.name, str(day), rows)
        with client.open_store(database.url) as store:
            observed.append(client.look_up(store, view, {"shop": [1]})["sales"].tolist()[0])
    assert lake.days(view.name) == days
    assert len(lake.read(view.name)) == 1
    assert [None if pd.isna(sales) else sales for sales in observed] == [None, 5.5, None]
