from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from include.catalog import catalog, declaration_module
from include.data.feature_store import client
from include.data.feature_store.definitions import names
from include.data.features import build
from include.data.lake.delta_tables import Lake
from include.declarations import Column, FeatureView, Online, ViewSource
from include.errors import DataError, PartitionMissing, ServiceUnavailable
from tests.conftest import free_ports
from tests.include.data.conftest import DAYS

VIEW = catalog().feature_views["flight_features"]


@pytest.fixture(scope="module")
def flown(tmp_path_factory, real_frames):
    """A lake with the features of three real days, for tests that change nothing in it."""
    lake = Lake(str(tmp_path_factory.mktemp("flown") / "lake"))
    for table, frame in real_frames.items():
        lake.publish(table, frame, DAYS, metadata={})
    rows = build.build_features(VIEW, declaration_module("features", VIEW.name).build, lake, DAYS)
    lake.publish(VIEW.name, rows, DAYS, metadata={})
    return lake


def test_thousand_random_rows_equal_offline_and_online(flown, database_url):
    client.materialise_view(VIEW, flown, database_url, DAYS)
    rows = flown.read(VIEW.name)
    entities = rows[[VIEW.entity, VIEW.time]].sample(1_000, random_state=7)
    offline = client.historical(VIEW, flown, entities)
    with client.open_store(database_url) as opened:
        online = client.look_up(opened, VIEW, entities[VIEW.entity].tolist())
    assert offline["temp"].isna().sum() + offline["pressure"].isna().sum() > 0  # nulls are among them
    pd.testing.assert_frame_equal(online[offline.columns.drop(VIEW.time)], offline.drop(columns=VIEW.time))
    published = rows.set_index(VIEW.entity).loc[entities[VIEW.entity]].reset_index()
    pd.testing.assert_frame_equal(published[offline.columns], offline)


# A small view, of which a test publishes what it needs.
LEVELS = FeatureView(
    name="levels",
    owner="ann",
    description="Levels of a river.",
    sources=(ViewSource(dataset="gauges"),),
    entity="river",
    time="at",
    columns=(
        Column(name="river", dtype="string"),
        Column(name="at", dtype="timestamp"),
        Column(name="level", dtype="integer", nullable=True),
        Column(name="flow", dtype="number", nullable=True),
        Column(name="open", dtype="boolean", nullable=True),
        Column(name="town", dtype="string", nullable=True),
    ),
    online=Online(days=2),
)
MOMENT = "datetime64[us, UTC]"


def levels(day, rivers, level=1):
    count = len(rivers)
    at = pd.Series([f"{day}T12:00:00.123456Z"] * count).astype(MOMENT)
    return pd.DataFrame(
        {
            "river": rivers,
            "at": at,
            "level": pd.Series([level, *[None] * (count - 1)], dtype="Int64"),
            "flow": [0.1 + 0.2, *[np.nan] * (count - 1)],
            "open": pd.Series([True, *[None] * (count - 1)], dtype="boolean"),
            "town": ["Köln", *[None] * (count - 1)],
            "gauges_known_at": at - pd.Timedelta(hours=1),
            "day": str(day),
        }
    )


def publish(lake, day, *arguments):
    return lake.publish("levels", levels(day, *arguments), [day], metadata={})


def ask(*rows):
    rivers, moments = zip(*rows, strict=True)
    return pd.DataFrame({"river": rivers, "at": pd.Series(moments).astype(MOMENT)})


def online(database_url, *rivers):
    """Return the level of row river, as it is online."""
    with client.open_store(database_url) as opened:
        features = client.look_up(opened, LEVELS, list(rivers))
    return {
        river: level if level is not pd.NA else None
        for river, level in zip(rivers, features["level"], strict=True)
    }


def test_the_past_is_joined_as_of_each_row_s_moment(lake):
    for level, day in enumerate(DAYS):
        publish(lake, day, ["Rhine"], level)
    rows = ask(
        ("Rhine", "2013-01-02T11:59:59Z"),
        ("Rhine", "2013-01-02T12:00:00.123456Z"),
        ("Rhine", "2013-01-09T00:00:00Z"),
    )
    assert client.historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [0, 1, 2]


def test_historical_keeps_row_order_with_nulls_where_unknown(lake):
    publish(lake, DAYS[0], ["Rhine", "Elbe"], 7)
    rows = ask(
        ("Nile", "2013-01-02T00:00:00Z"),
        ("Rhine", "2013-01-02T00:00:00Z"),
        ("Rhine", "2013-01-02T00:00:00Z"),  # Feast's own file store drops the second
        ("Rhine", "2012-12-31T00:00:00Z"),  # and one before the first value
        ("Elbe", "2013-01-02T00:00:00Z"),
    ).set_index(pd.Index([9, 3, 3, 1, 0]))
    features = client.historical(LEVELS, lake, rows)
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
        "town": "object", "gauges_known_at": MOMENT, "day": "object",
    }  # fmt: skip


def test_the_past_can_be_read_as_an_earlier_version_had_it(lake):
    first = publish(lake, DAYS[0], ["Rhine"], 1)
    publish(lake, DAYS[0], ["Rhine"], 2)
    rows = ask(("Rhine", "2013-01-02T00:00:00Z"))
    assert client.historical(LEVELS, lake, rows, version=first, columns=["level"])["level"].tolist() == [1]
    assert client.historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [2]


def test_what_is_there_already_is_not_asked_for(lake):
    publish(lake, DAYS[0], ["Rhine"], 1)
    rows = ask(("Rhine", "2013-01-02T00:00:00Z")).assign(level=99)
    assert client.historical(LEVELS, lake, rows, columns=["level"])["level"].tolist() == [99]
    assert client.historical(LEVELS, lake, rows, columns=["level", "town"])["town"].tolist() == ["Köln"]


def test_what_cannot_be_asked_is_named(lake):
    rows = ask(("Rhine", "2013-01-02T00:00:00Z"))
    with pytest.raises(PartitionMissing, match="levels"):
        client.historical(LEVELS, lake, rows)
    with pytest.raises(DataError, match=r"levels has no column depth; it has level, flow"):
        client.historical(LEVELS, lake, rows, columns=["depth"])
    with pytest.raises(DataError, match="an entity row has no at"):
        client.historical(LEVELS, lake, rows.assign(at=pd.NaT))


def test_materialise_keeps_newest_days_and_deletes_older_ones(lake, database_url):
    for day, river in zip(DAYS, ("Rhine", "Elbe", "Oder"), strict=True):
        publish(lake, day, [river])
        assert client.materialise_view(LEVELS, lake, database_url, [day]).rows == 1
    assert online(database_url, "Rhine", "Elbe", "Oder") == {"Rhine": None, "Elbe": 1, "Oder": 1}


def test_a_backfill_of_the_past_replaces_nothing_newer(lake, database_url):
    publish(lake, DAYS[2], ["Rhine"], 3)
    client.materialise_view(LEVELS, lake, database_url, [DAYS[2]])
    publish(lake, DAYS[1], ["Rhine", "Elbe"], 2)
    assert client.materialise_view(LEVELS, lake, database_url, [DAYS[1]]).rows == 2
    assert online(database_url, "Rhine") == {"Rhine": 3}
    publish(lake, DAYS[0], ["Rhine"], 1)
    assert client.materialise_view(LEVELS, lake, database_url, [DAYS[0]]).days == ()
    assert online(database_url, "Rhine") == {"Rhine": 3}


def test_a_day_that_is_published_again_replaces_what_it_had(lake, database_url):
    publish(lake, DAYS[0], ["Rhine", "Elbe"], 1)
    client.materialise_view(LEVELS, lake, database_url, [DAYS[0]])
    publish(lake, DAYS[0], ["Rhine", "Oder"], 5)
    first = client.materialise_view(LEVELS, lake, database_url)
    assert (first.rows, first.evicted) == (2, len(names(LEVELS)))  # Elbe's
    assert client.materialise_view(LEVELS, lake, database_url).evicted == 0
    with client.open_store(database_url) as opened:
        features = client.look_up(opened, LEVELS, ["Rhine", "Elbe", "Oder"])
    assert features["level"].tolist()[0] == 5
    assert features["day"].tolist() == ["2013-01-01", None, "2013-01-01"]


def test_materialise_of_an_earlier_version_cannot_undo_a_later(lake, database_url, monkeypatch):
    publish(lake, DAYS[0], ["Rhine"], 1)
    read = Lake.read

    def meanwhile(self, table, *arguments, **options):
        rows = read(self, table, *arguments, **options)
        monkeypatch.undo()
        publish(lake, DAYS[0], ["Rhine"], 2)
        client.materialise_view(LEVELS, lake, database_url)
        return rows

    monkeypatch.setattr(Lake, "read", meanwhile)
    client.materialise_view(LEVELS, lake, database_url)
    assert online(database_url, "Rhine") == {"Rhine": 2}


def test_the_registry_tells_people_and_tools_what_there_is(flown, database_url):
    with client.open_store(database_url) as opened:
        client.register_views(opened, [VIEW, LEVELS], flown.uri)
        before = opened.get_feature_view("levels").last_updated_timestamp
        client.register_views(opened, [VIEW, LEVELS], flown.uri)
        assert opened.get_feature_view("levels").last_updated_timestamp == before
        features = opened.get_feature_view(VIEW.name)
        assert (features.owner, features.description) == (VIEW.owner, VIEW.description)
        assert features.batch_source.path == f"{flown.uri}/flight_features"
        assert {field.name for field in features.features} == set(names(VIEW))
        changed = LEVELS.model_copy(update={"description": "Levels of all rivers."})
        client.register_views(opened, [changed], flown.uri)
        assert opened.get_feature_view("levels").description == "Levels of all rivers."


def test_many_may_open_an_empty_database_at_once(lake, database_url):
    publish(lake, DAYS[0], ["Rhine"], 1)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: client.materialise_view(LEVELS, lake, database_url), range(4)))
    assert {row.rows for row in done} == {1}
    assert online(database_url, "Rhine") == {"Rhine": 1}


def test_connections_that_the_database_ended_are_replaced(lake, database_url, postgres):
    publish(lake, DAYS[0], ["Rhine"], 1)
    client.materialise_view(LEVELS, lake, database_url)
    with client.open_store(database_url) as opened:
        assert client.look_up(opened, LEVELS, ["Rhine"])["level"].tolist() == [1]
        database = database_url.rsplit("/", 1)[1]
        with postgres.admin.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :database"
            connection.execute(text(ended), {"database": database})
        assert client.look_up(opened, LEVELS, ["Rhine"])["level"].tolist() == [1]


def test_a_database_that_is_away_is_an_accident(lake):
    publish(lake, DAYS[0], ["Rhine"], 1)
    with pytest.raises(ServiceUnavailable, match="The feature store's database does not answer"):
        client.materialise_view(LEVELS, lake, f"postgresql+psycopg2://a:b@127.0.0.1:{free_ports(1)[0]}/c")


def test_only_what_is_declared_online_goes_online(lake, database_url):
    offline = LEVELS.model_copy(update={"online": None})
    with pytest.raises(DataError, match=r"levels is not online: declare online=Online\(days=…\)"):
        client.materialise_view(offline, lake, database_url)
