"""Training sees no value that is older than what the online store keeps."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from include.data.feature_store import client
from include.data.feature_store.historical import historical
from include.declarations import Online
from tests.include.data.conftest import DAYS
from tests.include.data.feature_store.rivers import LEVELS, entity_rows, publish

MICROSECOND = timedelta(microseconds=1)
RIVERS = ["Rhine", "Elbe"]


def offline(lake, moment, view=LEVELS):
    rows = historical(view, lake, entity_rows(*((river, moment) for river in RIVERS)), columns=["level"])
    return [None if pd.isna(level) else int(level) for level in rows["level"]]


def online(database_url):
    with client.open_store(database_url) as opened:
        levels = client.look_up(opened, LEVELS, {"river": RIVERS})["level"]
    return [None if pd.isna(level) else int(level) for level in levels]


def test_offline_equals_online_when_a_day_leaves_the_store(lake, database_url):
    border = pd.Timestamp(DAYS[2], tz="UTC")
    publish(lake, DAYS[0], ["Rhine"], 1)
    publish(lake, DAYS[1], ["Elbe"], 2)
    client.materialise_view(LEVELS, lake, database_url)
    assert online(database_url) == offline(lake, border - MICROSECOND) == [1, 2]
    # At its begin the third day is there, and the first one leaves.
    publish(lake, DAYS[2], ["Oder"], 3)
    client.materialise_view(LEVELS, lake, database_url)
    assert online(database_url) == offline(lake, border) == [None, 2]
    assert offline(lake, border - MICROSECOND) == [1, 2]


def test_view_that_is_not_online_has_no_age_limit(lake):
    for day, river in zip(DAYS, ("Rhine", "Elbe", "Oder"), strict=True):
        publish(lake, day, [river], 1)
    late = pd.Timestamp("2014-01-01", tz="UTC")
    assert offline(lake, late) == [None, 1]
    assert offline(lake, late, LEVELS.model_copy(update={"online": None})) == [1, 1]
    assert offline(lake, late, LEVELS.model_copy(update={"online": Online(days=3)})) == [1, 1]
