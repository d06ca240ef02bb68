from __future__ import annotations

from datetime import date

import pytest

from airworthy.hooks.sources import SourceHook
from include.declarations import Column, DatabaseSource, Dataset, FileSource, HttpSource
from include.errors import SettingsError

DAY = date(2013, 7, 1)


def dataset(source):
    return Dataset(
        name="orders", owner="test", description="Orders.", key=("id",), first_partition=DAY, source=source,
        columns=(Column(name="id", dtype="string"),),
    )  # fmt: skip


def of_service():
    return dataset(HttpSource(conn_id="harbour", path="orders/{partition}.jsonl"))


@pytest.mark.parametrize(
    ("parts", "address"),
    [
        ({"host": "https://harbour.example/v2/"}, "https://harbour.example/v2/orders/2013-07-01.jsonl"),
        ({"host": "harbour", "port": 8081}, "http://harbour:8081/orders/2013-07-01.jsonl"),
        ({"host": "harbour", "schema": "https"}, "https://harbour/orders/2013-07-01.jsonl"),
    ],
    ids=["address", "host and port", "host and scheme"],
)
def test_service_has_the_address_of_its_connection(connection, parts, address):
    connection("harbour", conn_type="http", **parts)
    assert SourceHook(of_service()).location(DAY) == address


def test_service_gets_the_headers_of_its_connection(connection):
    connection("harbour", conn_type="http", host="harbour", extra={"headers": {"X-Key": "wonderland"}})
    assert SourceHook(of_service()).source.client.headers["x-key"] == "wonderland"


def test_connection_without_a_host_is_refused(connection):
    connection("harbour", conn_type="http")
    with pytest.raises(SettingsError, match="Connection harbour has no host"):
        _ = SourceHook(of_service()).source


def test_query_goes_to_the_database_of_its_connection(connection):
    connection("shop", conn_type="postgres", host="db", schema="sales", login="ann", password="wonderland")
    hook = SourceHook(dataset(DatabaseSource(conn_id="shop", query="SELECT :start, :end")))
    assert hook.location(DAY) == "the query of orders at db/sales (shop) for 2013-07-01"
    assert "wonderland" not in repr(hook.source)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("sqlite:////srv/shop.db", "sqlite:////srv/shop.db"),
        ("postgresql://ann:a%40b@db:5433/sales?sslmode=require",
         "postgresql+psycopg2://ann:a%40b@db:5433/sales?sslmode=require"),
        ("postgres://db/sales?sqlalchemy_scheme=postgresql%2Bpsycopg2", "postgresql+psycopg2://db/sales"),
    ],
)  # fmt: skip
def test_address_of_a_connection_is_one_of_sqlalchemy(monkeypatch, uri, address):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", uri)
    source = SourceHook(dataset(DatabaseSource(conn_id="shop", query="SELECT :start, :end"))).source
    assert source.engine.url.render_as_string(hide_password=False) == address


def test_type_of_a_connection_may_be_any_dialect(connection):
    connection("shop", conn_type="mysql+pymysql", host="db", schema="sales")
    with pytest.raises(SettingsError, match="whose driver is not installed: add the package pymysql"):
        _ = SourceHook(dataset(DatabaseSource(conn_id="shop", query="SELECT :start, :end"))).source


@pytest.mark.parametrize(("uri", "bucket"), [("s3://landing/in", True), ("/landing", False)])
def test_bucket_is_opened_with_the_options_of_the_lake(connection, uri, bucket):
    options = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL": "http://store:1"}
    extra = {
        "lake_uri": "/lake",
        "landing_uri": uri,
        "storage_options": options | {"AWS_REGION": "eu-west-1"},
    }
    connection("lake_default", conn_type="generic", extra=extra)
    hook = SourceHook(dataset(FileSource(path="orders/{partition}.csv")))
    assert hook.location(DAY) == f"{uri}/orders/2013-07-01.csv"
    assert (hook.bucket is not None) is bucket
    if hook.bucket is not None:
        client = hook.bucket.get_conn()
        assert (client.meta.endpoint_url, client.meta.region_name) == ("http://store:1", "eu-west-1")
        assert client._request_signer._credentials.access_key == "key"
