from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from sqlalchemy import text

from include.catalog import catalog, declaration_module
from include.data.feature_store import client
from include.data.feature_store.columns import names
from include.data.feature_store.historical import historical
from include.data.features import build
from include.data.lake.delta_tables import Lake
from include.declarations import Online
from include.errors import DataError, ServiceUnavailable
from tests.conftest import free_ports
from tests.include.data.conftest import DAYS, partitions_of
from tests.include.data.feature_store.rivers import LEVELS, levels, publish

VIEW = catalog().feature_views["flight_features"]


@pytest.fixture(scope="module")
def flown(tmp_path_factory, real_frames):
    """A lake with the features of three real days, for tests that change nothing in it."""
    lake = Lake(str(tmp_path_factory.mktemp("flown") / "lake"))
    for table, frame in real_frames.items():
        lake.publish(table, frame, partitions_of(catalog().datasets[table]), metadata={})
    rows = build.build_features(VIEW, declaration_module("features", VIEW.name).build, lake, DAYS)
    lake.publish(VIEW.name, rows, DAYS, metadata={})
    return lake


def test_thousand_random_rows_equal_offline_and_online(flown, database_url):
    client.materialise_view(VIEW, flown, database_url, DAYS)
    rows = flown.read(VIEW.name)
    entities = rows[[VIEW.entity, VIEW.time]].sample(1_000, random_state=7)
    offline = historical(VIEW, flown, entities)
    with client.open_store(database_url) as opened:
        online = client.look_up(opened, VIEW, {VIEW.entity: entities[VIEW.entity].tolist()})
    assert offline["temp"].isna().sum() + offline["pressure"].isna().sum() > 0  # nulls are among them
    pd.testing.assert_frame_equal(online[offline.columns.drop(VIEW.time)], offline.drop(columns=VIEW.time))
    published = rows.set_index(VIEW.entity).loc[entities[VIEW.entity]].reset_index()
    pd.testing.assert_frame_equal(published[offline.columns], offline)


def online(database_url, *rivers):
    """Return the level of row river, as it is online."""
    with client.open_store(database_url) as opened:
        features = client.look_up(opened, LEVELS, {"river": rivers})
    return {
        river: level if level is not pd.NA else None
        for river, level in zip(rivers, features["level"], strict=True)
    }


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
        features = client.look_up(opened, LEVELS, {"river": ["Rhine", "Elbe", "Oder"]})
    assert features["level"].tolist()[0] == 5
    assert features["_airworthy_day"].tolist() == ["2013-01-01", None, "2013-01-01"]


def test_materialise_of_an_earlier_version_cannot_undo_a_later(lake, database_url, monkeypatch):
    publish(lake, DAYS[0], ["Rhine"], 1)
    read = Lake.read_table

    def meanwhile(self, table, *arguments, **options):
        rows = read(self, table, *arguments, **options)
        monkeypatch.undo()
        publish(lake, DAYS[0], ["Rhine"], 2)
        client.materialise_view(LEVELS, lake, database_url)
        return rows

    monkeypatch.setattr(Lake, "read_table", meanwhile)
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
        assert client.look_up(opened, LEVELS, {"river": ["Rhine"]})["level"].tolist() == [1]
        database = database_url.rsplit("/", 1)[1]
        with postgres.admin.connect() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :database"
            connection.execute(text(ended), {"database": database})
        assert client.look_up(opened, LEVELS, {"river": ["Rhine"]})["level"].tolist() == [1]


def test_a_database_that_is_away_is_an_accident(lake):
    publish(lake, DAYS[0], ["Rhine"], 1)
    with pytest.raises(ServiceUnavailable, match="The feature store's database does not answer"):
        client.materialise_view(LEVELS, lake, f"postgresql+psycopg2://a:b@127.0.0.1:{free_ports(1)[0]}/c")


def test_only_what_is_declared_online_goes_online(lake, database_url):
    offline = LEVELS.model_copy(update={"online": None})
    with pytest.raises(DataError, match=r"levels is not online: declare online=Online\(days=…\)"):
        client.materialise_view(offline, lake, database_url)


def test_an_entity_of_several_days_is_written_in_one_go(lake, database_url):
    for level, day in enumerate(DAYS):
        publish(lake, day, ["Rhine", f"Elbe {day}"], level)
    written = client.materialise_view(
        LEVELS.model_copy(update={"online": Online(days=3)}), lake, database_url
    )
    assert (written.rows, len(written.days)) == (6, 3)
    assert online(database_url, "Rhine") == {"Rhine": 2}


def test_an_entity_that_left_its_day_gets_the_day_before(lake, database_url):
    publish(lake, DAYS[0], ["Rhine", "Elbe"], 1)
    publish(lake, DAYS[1], ["Rhine", "Elbe"], 2)
    client.materialise_view(LEVELS, lake, database_url)
    publish(lake, DAYS[1], ["Elbe"], 3)
    client.materialise_view(LEVELS, lake, database_url, [DAYS[1]])
    assert online(database_url, "Rhine", "Elbe") == {"Rhine": 1, "Elbe": 3}


def test_online_values_are_exact_beside_nulls(lake, database_url):
    rows = levels(DAYS[0], ["Rhine", "Elbe"], 2**53 + 1)
    lake.publish("levels", rows, [DAYS[0]], metadata={})
    client.materialise_view(LEVELS, lake, database_url)
    with client.open_store(database_url) as opened:
        features = client.look_up(opened, LEVELS, {"river": ["Rhine", "Elbe"]})
    assert features["level"].tolist() == [2**53 + 1, pd.NA]
    assert features["gauges_known_at"].tolist() == rows["gauges_known_at"].tolist()  # to the microsecond
    assert features["flow"][0] == 0.1 + 0.2


@pytest.mark.parametrize("name", ["order", "place", "event_timestamp", "published_at", "created", "value"])
def test_any_name_may_be_entity_time_or_feature_online(lake, database_url, name):
    for role in ("river", "at", "level"):
        columns = [
            column.model_copy(update={"name": name}) if column.name == role else column
            for column in LEVELS.columns
        ]
        renamed = {"columns": tuple(columns)}
        if role != "level":
            renamed["entity" if role == "river" else "time"] = name
        view = LEVELS.model_copy(update={"name": f"levels_{role}", **renamed})
        rows = levels(DAYS[0], ["a:b/'\" ", "ÿ", ""], 7).rename(columns={role: name})
        lake.publish(view.name, rows, [DAYS[0]], metadata={})
        client.materialise_view(view, lake, database_url)
        keys = rows[view.entity].tolist()
        with client.open_store(database_url) as opened:
            result = client.look_up(opened, view, {view.entity: [*keys, "none"]})
        assert result[view.entity].tolist() == [*keys, "none"]
        assert result[name if role == "level" else "level"].tolist() == [7, pd.NA, pd.NA, pd.NA]
        assert result["town"].tolist()[0] == "Köln"
