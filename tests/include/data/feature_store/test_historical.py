from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from include.data.feature_store import client
from include.data.feature_store.historical import historical
from include.data.lake import partition_columns
from include.data.lake.delta_tables import Lake
from include.declarations import Column, FeatureView, Online, ViewSource
from include.errors import DataError, PartitionMissing
from tests.include.data.conftest import DAYS
from tests.include.data.feature_store.rivers import LEVELS, MOMENT, entity_rows, publish

MICROSECOND = timedelta(microseconds=1)
RIVERS = ["Rhine", "Elbe"]


def test_the_past_is_joined_as_of_each_row_s_moment(lake):
    for level, day in enumerate(DAYS):
        publish(lake, day, ["Rhine"], level)
    rows = entity_rows(
        ("Rhine", "2013-01-02T11:59:59Z"),
        ("Rhine", "2013-01-02T12:00:00.123456Z"),
        ("Rhine", "2013-01-09T00:00:00Z"),
    )
    assert historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [0, 1, 2]


def test_historical_keeps_row_order_with_nulls_where_unknown(lake):
    publish(lake, DAYS[0], ["Rhine", "Elbe"], 7)
    rows = entity_rows(
        ("Nile", "2013-01-02T00:00:00Z"),
        ("Rhine", "2013-01-02T00:00:00Z"),
        ("Rhine", "2013-01-02T00:00:00Z"),  # Feast's own file store drops the second
        ("Rhine", "2012-12-31T00:00:00Z"),  # and one before the first value
        ("Elbe", "2013-01-02T00:00:00Z"),
    ).set_index(pd.Index([9, 3, 3, 1, 0]))
    features = historical(LEVELS, lake, rows)
    assert list(features["river"]) == list(rows["river"])
    assert features["level"].astype(object).where(features["level"].notna(), None).tolist() == [
        None,
        7,
        7,
        None,
        None,
    ]
    assert {name: str(dtype) for name, dtype in features.dtypes.items()} == {
        "river": "object", "at": MOMENT, "level": "Int64", "flow": "float64", "open": "boolean",
        "town": "object", "gauges_known_at": MOMENT, "_airworthy_day": "object",
    }  # fmt: skip


def test_the_past_can_be_read_as_an_earlier_version_had_it(lake):
    first = publish(lake, DAYS[0], ["Rhine"], 1)
    publish(lake, DAYS[0], ["Rhine"], 2)
    rows = entity_rows(("Rhine", "2013-01-02T00:00:00Z"))
    assert historical(LEVELS, lake, rows, version=first, columns=["level"])["level"].tolist() == [1]
    assert historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [2]


def test_what_is_there_already_is_not_asked_for(lake):
    publish(lake, DAYS[0], ["Rhine"], 1)
    rows = entity_rows(("Rhine", "2013-01-02T00:00:00Z")).assign(level=99)
    assert historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [99]
    assert historical(LEVELS, lake, rows, columns=["level", "town"])["town"].tolist() == ["Köln"]


def test_what_cannot_be_asked_is_named(lake):
    rows = entity_rows(("Rhine", "2013-01-02T00:00:00Z"))
    with pytest.raises(PartitionMissing, match="levels"):
        historical(LEVELS, lake, rows)
    with pytest.raises(DataError, match=r"levels has no column depth; it has level, flow"):
        historical(LEVELS, lake, rows, columns=["depth"])
    with pytest.raises(DataError, match="an entity row has no at"):
        historical(LEVELS, lake, rows.assign(at=pd.NaT))


NAMES = ("order", "place", "position", "event_timestamp", "published_at", "created", "key", "time", "index")


def baskets(entity, time, feature, dtype):
    """Return a view whose columns have these names."""
    columns = ((entity, dtype), (time, "timestamp"), (feature, "number"))
    return FeatureView(
        name="baskets",
        owner="ann",
        description="Baskets.",
        sources=(ViewSource(dataset="tills"),),
        entity=entity,
        time=time,
        known_from="start",
        columns=tuple(Column(name=name, dtype=dtype) for name, dtype in columns),
    )


@pytest.mark.parametrize("dtype", ["integer", "string"])
@pytest.mark.parametrize("role", ["entity", "time", "feature"])
def test_any_name_may_be_entity_time_or_feature(lake, role, dtype):
    for name in NAMES:
        roles = {"entity": "basket", "time": "at", "feature": "amount"} | {role: name}
        view = baskets(**roles, dtype=dtype)
        keys = [101, 102, 0, 101] if dtype == "integer" else ["a:b", "'", "", "a:b"]
        at = pd.Series(["2013-01-01T09:00Z"] * 3 + ["2013-01-01T15:00Z"]).astype(MOMENT)
        rows = pd.DataFrame(
            {roles["entity"]: keys, roles["time"]: at, roles["feature"]: [1.0, 2.0, 3.0, 777.0]}
        )
        table = lake_of(lake, name, role, dtype)
        table.publish(
            "baskets",
            rows.assign(**{"tills_known_at": at, partition_columns.DAY: "2013-01-01"}),
            [DAYS[0]],
            metadata={},
        )
        requested = pd.DataFrame(
            {roles["entity"]: keys[:3], roles["time"]: pd.Timestamp("2013-01-01T10:00Z")}
        )
        features = historical(view, table, requested, columns=[roles["feature"]])
        assert features[roles["feature"]].tolist() == [1.0, 2.0, 3.0], (role, name)


def lake_of(lake, *names):
    return Lake(f"{lake.uri}/{'-'.join(names)}", lake.storage_options)


def test_integers_beyond_2_53_beside_nulls_are_exact(lake):
    view = baskets("basket", "at", "amount", "integer")
    big = 2**53 + 1
    rows = pd.DataFrame({"basket": pd.Series([big, big - 1], dtype="int64"), "amount": [1.0, 2.0]})
    rows["at"] = pd.Series(["2013-01-01T09:00Z"] * 2).astype(MOMENT)
    rows = rows.assign(**{"tills_known_at": rows["at"], partition_columns.DAY: "2013-01-01"})
    lake.publish("baskets", rows, [DAYS[0]], metadata={})
    requested = pd.DataFrame({"basket": pd.Series([big, None, big - 1], dtype="Int64")})
    requested["at"] = pd.Timestamp("2013-01-02T00:00Z")
    amounts = historical(view, lake, requested, columns=["amount"])["amount"]
    assert amounts.astype(object).where(amounts.notna(), None).tolist() == [1.0, None, 2.0]


def test_an_entity_of_another_type_is_an_error(lake):
    publish(lake, DAYS[0], ["Rhine"], 1)
    rows = entity_rows((7, "2013-01-02T00:00:00Z"))
    with pytest.raises(DataError, match="river of the entities has type int64, and string in the view"):
        historical(LEVELS, lake, rows)


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
