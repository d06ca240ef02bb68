from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog, module_of
from include.data import features
from include.data.feature_store import store
from include.data.feature_store.definitions import names
from include.data.lake import Lake
from include.declarations import Column, FeatureView, Online, Source
from include.errors import DataError, PartitionMissing, ServiceUnavailable
from tests.include.data.conftest import DAYS

VIEW = catalog().feature_views["flight_features"]


@pytest.fixture(scope="module")
def flown(tmp_path_factory, real_frames):
    """A lake with the features of three real days, for tests that change nothing in it."""
    lake = Lake(str(tmp_path_factory.mktemp("flown") / "lake"))
    for table, frame in real_frames.items():
        lake.publish(table, frame, DAYS, metadata={})
    rows = features.build(VIEW, module_of("features", VIEW.name).build, lake, DAYS)
    lake.publish(VIEW.name, rows, DAYS, metadata={})
    return lake


def test_a_thousand_random_rows_have_the_same_features_offline_and_online(flown, database_url):
    store.materialise(VIEW, flown, database_url, DAYS)
    rows = flown.read(VIEW.name)
    entities = rows[[VIEW.entity, VIEW.time]].sample(1_000, random_state=7)
    offline = store.historical(VIEW, flown, entities)
    with store.opened(database_url) as opened:
        online = store.look_up(opened, VIEW, entities[VIEW.entity].tolist())
    assert offline["temp"].isna().sum() + offline["pressure"].isna().sum() > 0  # nulls are among them
    pd.testing.assert_frame_equal(online[offline.columns.drop(VIEW.time)], offline.drop(columns=VIEW.time))
    published = rows.set_index(VIEW.entity).loc[entities[VIEW.entity]].reset_index()
    pd.testing.assert_frame_equal(published[offline.columns], offline)
