from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from include.catalog import catalog
from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY as DAY_COLUMN
from include.governance.inventory import FeatureUse, dataset_entry, model_entry, view_entry
from include.governance.model_facts import ModelFacts

DAY = date(2013, 1, 1)


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path))


def test_dataset_entry_has_users_freshness_and_nulls(lake):
    frame = pd.DataFrame({"flight_id": ["a", "b"], "arr_delay": [1.0, None], DAY_COLUMN: "2013-01-01"})
    lake.publish("arrivals", frame, [DAY], metadata={})
    entry = dataset_entry(catalog(), lake, "arrivals", now=datetime(2013, 1, 4, tzinfo=UTC))
    assert (entry.freshness.newest, entry.freshness.age_days) == ("2013-01-01", 2.0)
    assert entry.labels == ("air_time", "delay_band", "flight_delay")
    shares = {column.name: column.null_share for column in entry.columns}
    assert shares == {"flight_id": 0.0, "dep_delay": None, "arr_delay": 0.5, "air_time": None}


def test_view_entry_has_importance_and_drift_by_model(lake):
    facts = {"delay_band": ModelFacts(importance={"temp": 0.25}, drifted={"temp": True})}
    entry = view_entry(catalog(), lake, "flight_features", facts)
    models = {column.name: column.models for column in entry.columns}
    assert models["temp"] == (FeatureUse("temp", "delay_band", 0.25, True),)
    assert models["flight_id"] == ()
    assert entry.freshness.newest is None


def test_model_entry_sorts_features_by_importance():
    facts = ModelFacts(champion=3, importance={"pressure": 2.0, "hour": 1.0})
    entry = model_entry(catalog(), "air_time", facts)
    assert [feature.feature for feature in entry.features][:2] == ["pressure", "hour"]


def test_model_entry_without_a_declaration_says_so():
    entry = model_entry(catalog(), "oops_model", ModelFacts(champion=1))
    assert (entry.declared, entry.facts.champion, entry.features) == (False, 1, ())
