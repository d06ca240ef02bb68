from __future__ import annotations

from include.catalog import catalog
from include.governance import usage


def test_usage_of_a_dataset_has_views_labels_and_models():
    declared = catalog()
    assert usage.views_of_dataset(declared, "weather") == ["flight_features"]
    assert usage.labels_of_dataset(declared, "weather") == []
    models = ["air_time", "delay_band", "flight_delay"]
    assert usage.labels_of_dataset(declared, "arrivals") == models
    assert usage.use_cases_of_dataset(declared, "weather") == models


def test_usage_of_an_unread_name_is_empty():
    assert usage.views_of_dataset(catalog(), "planes") == []
    assert usage.use_cases_of_view(catalog(), "planes") == []
