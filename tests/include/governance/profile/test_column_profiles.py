from __future__ import annotations

import pytest

from include.catalog import catalog
from include.governance.profile.column_profiles import label_correlations, profile_columns
from include.governance.profile.sample import read_sample
from tests.personal_columns import declare_personal


def profiles_of(declared, lake, name):
    table = declared.declaration(name)
    sample = read_sample(lake, name, table.columns)
    correlations = label_correlations(declared, lake, table, sample)
    return {profile.column.name: profile for profile in profile_columns(table.columns, sample, correlations)}


def test_feature_correlates_with_the_label_of_each_model(features):
    profiles = profiles_of(catalog(), features, "flight_features")
    assert profiles["distance"].correlations["air_time"] == pytest.approx(1.0)
    assert profiles["distance"].correlations["flight_delay"] > 0.7
    assert profiles["carrier"].correlations["flight_delay"] == pytest.approx(1.0)
    assert profiles["weekday"].correlations == {}


def test_label_dataset_correlates_with_its_own_label(arrivals):
    profiles = profiles_of(catalog(), arrivals, "arrivals")
    assert profiles["air_time"].correlations["flight_delay"] > 0.7
    assert "air_time" not in profiles["air_time"].correlations
    assert profiles["flight_id"].correlations == {}


def test_profile_has_nulls_quantiles_and_shares(features):
    profiles = profiles_of(catalog(), features, "flight_features")
    assert profiles["temp"].nulls == 0.5
    assert profiles["temp"].summary == "20 … 20 … 20"
    assert list(profiles["distance"].over_time.columns) == [0.05, 0.5, 0.95]
    shares = profiles["carrier"].over_time
    assert shares.sum(axis=1).tolist() == pytest.approx([1.0] * 4)
    assert profiles["flight_id"].over_time is None


def test_personal_column_shows_no_value(features):
    profile = profiles_of(declare_personal("carrier"), features, "flight_features")["carrier"]
    assert (profile.summary, profile.over_time, profile.correlations) == ("***", None, {})
    assert profile.distinct == 2
