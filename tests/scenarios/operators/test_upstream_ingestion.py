"""Ingestion from a service, from a query, and from an object store."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, text

from include.declarations import DatabaseSource, HttpSource
from include.errors import AirworthyError, DataError, PartitionMissing, QualityFailed
from tests.faults.proxy import Proxy
from tests.include.data.sources.service import serving
from tests.plugins.airworthy.operators.readings import DAY, GOOD, NEXT, counts, later, readings


@pytest.fixture
def upstream(connection):
    with serving() as running:
        connection("harbour", conn_type="http", host=running.uri, login="ann", password="wonderland")
        yield running


@pytest.fixture
def service(declare_dataset):
    source = HttpSource(conn_id="harbour", path="/readings/{partition}.csv", format="csv")
    return declare_dataset(readings(source))


def test_late_answer_of_a_service_is_ingested(service, upstream, lake, database, ingest):
    timer = later(lambda: upstream.put("/readings/2013-07-01.csv", GOOD))
    ingest(service, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}
    assert upstream.requests[0]["authorization"].startswith("Basic ")


def test_unreachable_service_is_requested_again(service, upstream, connection, lake, database, ingest):
    upstream.put("/readings/2013-07-01.csv", GOOD)
    with Proxy(upstream.uri) as proxy:
        connection("harbour", conn_type="http", host=proxy.uri)
        proxy.stop()
        timer = later(proxy.start)
        ingest(service, f"{DAY}")
        timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_unavailable_service_fails_with_its_status(
    declare_dataset, service, upstream, lake, database, ingest
):
    upstream.put("/readings/2013-07-01.csv", b"", status=503)
    dataset = declare_dataset(service.model_copy(update={"landing_timeout": timedelta(seconds=0.1)}))
    with pytest.raises(PartitionMissing, match=r"did not land within .*/readings/2013-07-01.csv answers 503"):
        ingest(dataset, f"{DAY}")


def test_password_without_login_is_a_bearer_token(service, upstream, connection, lake, database, ingest):
    connection("harbour", conn_type="http", host=upstream.uri, password="wonderland")
    upstream.put("/readings/2013-07-01.csv", GOOD)
    ingest(service, f"{DAY}")
    assert {request["authorization"] for request in upstream.requests} == {"Bearer wonderland"}


def test_refused_login_fails_at_once(service, upstream, lake, database, ingest):
    later(lambda: upstream.put("/readings/2013-07-01.csv", b"", status=401), 0.2)
    with pytest.raises(
        AirworthyError, match="refuses with 401: correct login and password of the connection harbour"
    ):
        ingest(service, f"{DAY}")


@pytest.fixture
def shop(postgres, connection):
    """Return a function that writes rows of a day, changed at a moment, into another database."""
    engine = create_engine(postgres.create_database("shop"))
    url = engine.url
    parts = {"host": url.host, "port": url.port, "schema": url.database}
    connection("shop", conn_type="postgres", login=url.username, password=url.password, **parts)
    with engine.begin() as database:
        database.execute(
            text("CREATE TABLE sold (id text, level float8, at timestamptz, changed timestamptz)")
        )

    def write(day, changed, level=1.0, count=20):
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        rows = [
            {"id": f"{day}/{number}", "level": level, "at": moment, "changed": changed}
            for number in range(count)
        ]
        with engine.begin() as database:
            database.execute(text("DELETE FROM sold WHERE at = :at"), {"at": moment})
            database.execute(text("INSERT INTO sold VALUES (:id, :level, :at, :changed)"), rows)

    yield write
    engine.dispose()


@pytest.fixture
def sold(declare_dataset):
    source = DatabaseSource(
        conn_id="shop",
        query="SELECT id, level, changed FROM sold WHERE at >= :start AND at < :end",
        watermark="changed",
        settle=timedelta(0),
    )
    return declare_dataset(readings(source))


def noon(day, days=0):
    return datetime(2013, 7, day, 12, tzinfo=UTC) + timedelta(days=days)


def test_query_waits_until_its_partition_is_complete(sold, shop, lake, database, ingest):
    shop(DAY, noon(1))
    timer = later(lambda: shop(NEXT, noon(2)))
    ingest(sold, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 20}


def test_local_week_is_ingested(declare_dataset, sold, shop, lake, database, ingest):
    calendar = {"granularity": "week", "first_partition": date(2012, 12, 31), "time_zone": "Asia/Tokyo"}
    weekly = declare_dataset(readings(sold.source, volume=(10, 1000), **calendar))
    for number in range(1, 9):
        shop(date(2013, 7, number), noon(number))
    ingest(weekly, "2013-07-01")
    assert counts(lake) == {"2013-07-01": 7 * 20}
    with pytest.raises(DataError, match="does not begin with a week: give its first day, 2013-07-01"):
        ingest(weekly, "2013-07-02")


def test_late_changes_are_ingested_by_runs_of_their_own(sold, shop, lake, database, ingest, supervisor):
    for number in range(1, 6):
        shop(date(2013, 7, number), noon(number))
    for number in (1, 2, 3):
        assert ingest(sold, f"2013-07-0{number}")["plan", "return_value"] == []
    assert supervisor.state == {("readings", "watermark"): '"2013-07-03T12:00:00+00:00"'}
    for number in (1, 2):
        shop(date(2013, 7, number), noon(4), level=9.0)
    (late,) = ingest(sold, "2013-07-04")["plan", "return_value"]
    assert late == {
        "trigger_run_id": "late__2013-07-01..2013-07-02__2013-07-04T12:00:00+00:00",
        "conf": {"first": "2013-07-01", "last": "2013-07-02"},
    }
    assert set(lake.read("readings", [DAY])["level"]) == {1.0}
    ingest(sold, run_type="operator_triggered", **late["conf"])
    assert set(lake.read("readings", [DAY, NEXT])["level"]) == {9.0}
    assert counts(lake) == {f"2013-07-0{number}": 20 for number in (1, 2, 3, 4)}
    shop(date(2013, 7, 6), noon(6))
    assert ingest(sold, "2013-07-05")["plan", "return_value"] == []


def test_watermark_stays_without_publication(sold, shop, lake, database, ingest, supervisor):
    shop(DAY, noon(1))
    shop(NEXT, noon(2), count=5)
    shop(date(2013, 7, 3), noon(3))
    ingest(sold, f"{DAY}")
    before = dict(supervisor.state)
    with pytest.raises(QualityFailed):
        ingest(sold, f"{NEXT}")
    assert supervisor.state == before
    shop(NEXT, noon(2))
    ingest(sold, f"{NEXT}")
    assert supervisor.state != before


@pytest.mark.parametrize("kind", ["backfill", "bulk"])
def test_runs_of_the_past_do_not_move_the_watermark(kind, sold, shop, lake, database, ingest, supervisor):
    shop(DAY, noon(1))
    shop(NEXT, noon(2))
    if kind == "backfill":
        ingest(sold, f"{DAY}", run_type="backfill")
    else:
        ingest(sold, run_type="manual", first=f"{DAY}")
    assert (counts(lake), supervisor.state) == ({"2013-07-01": 20}, {})


def test_older_run_does_not_move_the_watermark_back(sold, shop, lake, database, ingest, supervisor):
    for number in (1, 2, 3):
        shop(date(2013, 7, number), noon(number))
    ingest(sold, f"{NEXT}")
    ingest(sold, f"{DAY}")
    assert supervisor.state == {("readings", "watermark"): '"2013-07-02T12:00:00+00:00"'}


@pytest.fixture
def dataset(declare_dataset):
    return declare_dataset(readings())


@pytest.fixture
def bucket(connection, object_store, lake):
    """Return a function that lands an object in a bucket; the lake is on the disk."""
    uri = object_store.address()
    name, _, prefix = uri.removeprefix("s3://").partition("/")

    def connect(endpoint=""):
        options = object_store.options(endpoint)
        extra = {"lake_uri": lake.uri, "landing_uri": uri, "storage_options": options}
        connection("lake_default", conn_type="generic", extra=extra)

    def put(day, content=GOOD):
        key = f"{prefix}/readings/{day}.csv"
        object_store.client().put_object(Bucket=name, Key=key, Body=content.encode())

    connect()
    put.connect = connect
    put.uri = uri
    return put


def test_late_object_is_ingested(dataset, bucket, lake, database, ingest):
    timer = later(lambda: bucket(DAY))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_unreachable_store_is_requested_again(dataset, bucket, object_store, lake, database, ingest):
    bucket(DAY)
    with Proxy(object_store.endpoint) as proxy:
        bucket.connect(proxy.uri)
        proxy.stop()
        timer = later(proxy.start)
        ingest(dataset, f"{DAY}")
        timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_missing_object_fails_with_its_location(declare_dataset, bucket, lake, database, ingest):
    dataset = declare_dataset(readings(landing_timeout=timedelta(seconds=0.1)))
    with pytest.raises(PartitionMissing, match=rf"is there \({bucket.uri}/readings/2013-07-01\.csv\)"):
        ingest(dataset, f"{DAY}")
