from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import create_engine, make_url, text

from include.data.sources.database import Changes, UpstreamDatabase
from include.data.sources.dialects import DIALECTS, bind, dialect_of, open_engine
from include.declarations import Column, DatabaseSource, Dataset
from include.errors import DataError, ServiceUnavailable, SettingsError
from include.sql_tokens import single_statement
from tests.include.data.sources.extracts import frame_of

DAYS = [date(2013, 7, 1), date(2013, 7, 2)]
QUERY = "SELECT id, amount, at FROM sold WHERE at >= :start AND at < :end; -- :word"


@pytest.fixture
def shop(tmp_path):
    """Return an SQLite database with sales at the borders of a day."""
    engine = open_engine(make_url(f"sqlite:///{tmp_path}/shop.db"), conn_id="shop", application="test")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sold (id text, amount float, at text)"))
        for number, at in enumerate(
            ("2013-07-01 00:00:00.000000", "2013-07-01 23:59:59", "2013-07-02 00:00:00")
        ):
            connection.execute(
                text("INSERT INTO sold VALUES (:id, :amount, :at)"),
                {"id": f"{number}", "amount": number / 2, "at": at},
            )
    yield engine
    engine.dispose()


def sold(query=QUERY, **source):
    values = {"conn_id": "shop", "time_zone": "UTC", "watermark": "at", "settle": timedelta(0)} | source
    return Dataset(
        name="sold", owner="test", description="Sales.", key=("id",), first_partition=DAYS[0],
        source=DatabaseSource(query=query, **values),
        columns=(
            Column(name="id", dtype="string"),
            Column(name="amount", dtype="number"),
            Column(name="at", dtype="timestamp"),
        ),
    )  # fmt: skip


def test_partition_of_sqlite_is_read(shop):
    rows = frame_of(UpstreamDatabase(shop).read(sold(), DAYS[:1]))
    assert rows[["id", "amount"]].to_dict("list") == {"id": ["0", "1"], "amount": [0.0, 0.5]}
    assert rows["at"].max() == datetime(2013, 7, 1, 23, 59, 59, tzinfo=UTC)


def test_changes_in_sqlite_are_found(shop):
    upstream = UpstreamDatabase(shop)
    assert upstream.missing(sold(), DAYS) == DAYS[1:]
    assert upstream.changes(sold(), None, DAYS[1], []) == Changes("2013-07-02T00:00:00+00:00")
    since = "2013-07-01T12:00:00+00:00"
    assert upstream.changes(sold(), since, DAYS[1], DAYS[:1]).late == (DAYS[0],)


def test_bounds_are_in_the_declared_zone(shop):
    rows = frame_of(UpstreamDatabase(shop).read(sold(time_zone="America/New_York"), DAYS[:1]))
    assert list(rows["at"]) == [datetime(2013, 7, 1, 4, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("calendar", "day", "ids"),
    [
        ({"time_zone": "America/New_York"}, DAYS[0], ["1", "2"]),
        ({"time_zone": "America/New_York"}, date(2013, 6, 30), ["0"]),
        ({"granularity": "month"}, DAYS[0], ["0", "1", "2"]),
        ({"granularity": "week"}, date(2013, 6, 24), []),
    ],
)
def test_bounds_are_those_of_the_calendar(shop, calendar, day, ids):
    dataset = sold().model_copy(update=calendar)
    assert UpstreamDatabase(shop).read(dataset, [day]).table["id"].to_pylist() == ids


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (QUERY.replace("FROM sold", "FROM sell"), "no such table: sell"),
        ("DELETE FROM sold WHERE at >= :start AND at < :end", "attempt to write a readonly database"),
    ],
    ids=["no table", "writing"],
)
def test_wrong_query_of_sqlite_is_not_retried(shop, query, message):
    with pytest.raises(DataError, match=rf"fails: {message}.* The query is: {query[:6]}"):
        UpstreamDatabase(shop).read(sold(query, watermark=None), DAYS[:1])
    with shop.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sold")).scalar_one() == 3


def test_locked_sqlite_can_be_retried(shop):
    impatient = create_engine(shop.url, connect_args={"timeout": 0})
    with shop.connect() as writer:
        writer.exec_driver_sql("BEGIN EXCLUSIVE")
        with pytest.raises(ServiceUnavailable, match="database is locked"):
            UpstreamDatabase(impatient).read(sold(), DAYS[:1])
    impatient.dispose()


@pytest.mark.parametrize(
    ("paramstyle", "statement", "parameters"),
    [
        ("pyformat", "'5 %% :x', %(end)s, %(start)s, %(end)s", {"start": 1, "end": 2}),
        ("named", "'5 % :x', :end, :start, :end", {"start": 1, "end": 2}),
        ("format", "'5 %% :x', %s, %s, %s", (2, 1, 2)),
        ("qmark", "'5 % :x', ?, ?, ?", (2, 1, 2)),
        ("numeric", "'5 % :x', :1, :2, :3", (2, 1, 2)),
    ],
)
def test_parameters_are_bound_as_the_driver_takes_them(paramstyle, statement, parameters):
    tokens = single_statement("'5 % :x', :end, :start, :end")
    assert bind(tokens, {"start": 1, "end": 2}, paramstyle) == (statement, parameters)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql+pymysql://ann@db/shop", "for mysql[+]pymysql, .* add the package pymysql"),
        ("mysql://ann@db/shop", "for mysql, whose driver is not installed: add the package mysqlclient"),
        ("papyrus://db/shop", "for papyrus, which SQLAlchemy does not have"),
    ],
)
def test_missing_driver_is_named(url, message):
    with pytest.raises(SettingsError, match=f"The connection shop is {message}"):
        open_engine(make_url(url), conn_id="shop", application="test")


def test_session_of_postgresql_has_a_name():
    engine = open_engine(make_url("postgresql+psycopg2://db/shop"), conn_id="shop", application="airworthy x")
    assert (
        dialect_of(engine).parameter(datetime(2013, 7, 1, tzinfo=UTC), ZoneInfo("Asia/Tokyo")).tzinfo is UTC
    )


def test_bits_are_whole_numbers_and_other_bytes_stay():
    rows = [(b"\x01", b"1"), (None, None), (b"\x01\x00", b"x")]
    assert DIALECTS["mariadb"].read_rows(rows, [16, 252]) == [[1, b"1"], [None, None], [256, b"x"]]
    assert DIALECTS["postgresql"].read_rows(rows, [16, 252]) is rows


def test_server_of_a_mysql_address_may_be_a_mariadb():
    engine = SimpleNamespace(dialect=SimpleNamespace(name="mysql", is_mariadb=False))
    assert dialect_of(engine) is DIALECTS["mysql"]
    engine.dialect.is_mariadb = True
    assert dialect_of(engine) is DIALECTS["mariadb"]
