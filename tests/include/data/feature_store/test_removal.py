from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import inspect

from include.catalog import catalog
from include.data.feature_store.client import look_up, materialise_view, open_store
from include.data.feature_store.definitions import PROJECT
from include.data.feature_store.removal import remove_keys, remove_view


@pytest.fixture
def view():
    return catalog().feature_views["flight_features"]


def test_removed_view_has_no_table_and_no_registration(real_lake, database_url, database, view):
    materialise_view(view, real_lake, database_url)
    assert remove_view(view.name, database_url)
    assert f"{PROJECT}_{view.name}" not in inspect(database).get_table_names("feast")
    with open_store(database_url) as store:
        assert store.registry.list_feature_views(PROJECT) == []


def test_unregistered_view_is_no_error(database_url):
    assert not remove_view("plane_features", database_url)


def test_removed_key_is_not_online_any_more(real_lake, database_url, view):
    materialise_view(view, real_lake, database_url)
    keys = real_lake.read(view.name, [date(2013, 1, 3)])["flight_id"].tolist()[:2]
    assert remove_keys(view, database_url, [{"flight_id": keys[0]}]) > 0
    with open_store(database_url) as store:
        carriers = look_up(store, view, {"flight_id": keys})["carrier"]
    assert carriers.isna().tolist() == [True, False]
    assert remove_keys(view, database_url, [{"flight_id": keys[0]}]) == 0
