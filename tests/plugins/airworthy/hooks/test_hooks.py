"""Connections become clients; what is missing in one is named."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from airworthy.hooks.airworthy_database import AirworthyDatabaseHook, url_of
from airworthy.hooks.gateway import GatewayHook
from airworthy.hooks.lake import LakeHook
from airworthy.hooks.model_registry import ModelRegistryHook
from include.errors import SettingsError


@pytest.fixture
def connection(monkeypatch):
    def define(name, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps({"conn_type": "generic", **fields}))

    return define


def test_the_database_of_the_connection_is_reached(database):
    with AirworthyDatabaseHook().engine.connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == database.url.database


def test_a_password_may_hold_any_character():
    parts = {"login": "ann", "host": "db", "port": 5432, "schema": "airworthy"}
    url = url_of(SimpleNamespace(**parts, password="a@b/c:d%20"))
    assert url.password == "a@b/c:d%20"
    assert url.render_as_string(hide_password=False).startswith("postgresql+psycopg2://ann:a%40b%2Fc")


def test_an_engine_does_not_show_its_password(database):
    hook = AirworthyDatabaseHook()
    assert database.url.password not in repr(hook.engine)


def test_the_lake_and_the_landing_folder_are_those_of_the_extra(connection):
    extra = {
        "lake_uri": "s3://lake/",
        "landing_uri": "s3://landing/",
        "storage_options": {"AWS_REGION": "eu"},
    }
    connection("lake_default", extra=extra)
    hook = LakeHook()
    assert (hook.lake.uri, hook.landing.uri, hook.staging.uri) == (
        "s3://lake",
        "s3://landing",
        "s3://lake",
    )
    assert hook.lake.storage_options == hook.landing.storage_options == {"AWS_REGION": "eu"}


def test_without_storage_options_the_lake_is_a_folder(connection):
    connection(
        "lake_default", extra={"lake_uri": "/lake", "landing_uri": "/landing", "storage_options": None}
    )
    assert LakeHook().storage_options == {}


def test_a_lake_connection_without_a_lake_is_refused(connection):
    connection("lake_default", extra={"landing_uri": "/landing"})
    with pytest.raises(SettingsError, match=r"lake_default.*lake_uri"):
        _ = LakeHook().lake


def test_the_gateway_says_where_to_ask_for_predictions(connection):
    connection("elsewhere", host="http://gateway:8090/")
    assert GatewayHook("elsewhere").invocations("late") == "http://gateway:8090/models/late/invocations"


def test_a_gateway_connection_without_a_host_is_refused(connection):
    connection("gateway_default")
    with pytest.raises(SettingsError, match=r"gateway_default has no host"):
        _ = GatewayHook().uri


def test_the_registry_is_that_of_the_connection(connection):
    connection("mlflow_default", host="http://mlflow:5000")
    assert ModelRegistryHook().registry.uri == "http://mlflow:5000"


def test_a_registry_connection_without_a_host_is_refused(connection):
    connection("mlflow_default")
    with pytest.raises(SettingsError, match=r"mlflow_default has no host"):
        _ = ModelRegistryHook().uri
