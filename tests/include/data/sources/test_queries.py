from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import create_engine

from include.data.reading.table import MISFITS
from include.data.sources.database import UpstreamDatabase
from include.declarations import DatabaseSource
from include.errors import DataError
from tests.include.data.sources.extracts import frame_of
from tests.include.data.sources.orders import DAYS, QUERY, orders


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("SELECT * FROM orders WHERE id ~ '^(?:a|web)$' AND {}", 1),
        ("SELECT * FROM orders WHERE id <> 'see :x' AND id NOT LIKE 'b%' AND {}", 1),
        ("SELECT * FROM orders -- the rows of :shop, 100 %\n WHERE {} -- a note", 2),
        ("SELECT * FROM orders WHERE (ARRAY['a', 'b'])[1:2] @> ARRAY[id::text] AND {} ;\n", 2),
        (r"SELECT * FROM orders WHERE id !~ '\:x' AND id <> $$it's :start$$ AND ascii(id) % 2 = 1 AND {}", 1),
        ("WITH a AS (SELECT * FROM orders WHERE {}) SELECT * FROM a /* :all */ ORDER BY id;", 2),
    ],
    ids=["regular expression", "literal", "comments", "slice and cast", "operator", "common table"],
)
def test_query_is_run_as_it_is_written(engine, order, written, count):
    order("a", DAYS[0])
    order("b", DAYS[0], hour=13)
    dataset = orders(written.format("placed_at >= :start AND placed_at < :end"))
    upstream = UpstreamDatabase(engine)
    assert len(frame_of(upstream.read(dataset, DAYS[:1]))) == count
    assert upstream.missing(dataset, DAYS[:1]) == DAYS[:1]
    assert upstream.changes(dataset, None, DAYS[0], []).watermark.startswith("2013-07-01T1")


def test_declared_query_is_quoted_in_errors(engine):
    query = QUERY.replace("FROM orders", "FROM order_s") + " -- a note"
    with pytest.raises(DataError) as raised:
        UpstreamDatabase(engine).missing(orders(query), DAYS[:1])
    assert str(raised.value).endswith(f"The query is: {query}")
    assert "LINE" not in str(raised.value)


@pytest.fixture
def abroad(shop):
    """Return an engine whose sessions are in New York."""
    engine = create_engine(shop, connect_args={"options": "-c timezone=America/New_York"})
    yield engine
    engine.dispose()


def test_zone_of_the_session_does_not_matter(abroad, engine, order):
    for hour in (0, 23):
        order(f"{hour}", DAYS[0], hour=hour)
    query = (
        "SELECT id, amount, paid, placed_at, changed_at FROM orders "
        "WHERE placed_at::timestamp >= :start AND placed_at::date < :end"
    )
    rows = [frame_of(UpstreamDatabase(server).read(orders(query), DAYS[:1])) for server in (abroad, engine)]
    assert list(rows[0]["id"]) == ["0", "23"]
    assert rows[0].equals(rows[1])


def test_moment_without_a_zone_is_in_the_declared_one(abroad, order):
    query = QUERY.replace("placed_at, c", "placed_at::timestamp AS placed_at, c").replace(
        "WHERE placed_at", "WHERE placed_at::timestamp"
    )
    source = DatabaseSource(conn_id="shop", query=query, time_zone="Asia/Tokyo")
    order("a", DAYS[0], hour=23)
    row = frame_of(UpstreamDatabase(abroad).read(orders(source=source), DAYS[:1])).iloc[0]
    assert row["placed_at"] == datetime(2013, 7, 1, 23, tzinfo=UTC)


def test_watermark_without_a_zone_is_refused(engine, order):
    order("a", DAYS[0])
    dataset = orders(QUERY.replace("changed_at", "changed_at::timestamp AS changed_at"))
    with pytest.raises(DataError, match="watermark changed_at of orders has moments without a time zone"):
        UpstreamDatabase(engine).missing(dataset, DAYS[:1])


def test_moment_beyond_python_stays_text(engine, order):
    order("a", DAYS[0])
    query = QUERY.replace("id, amount", "'infinity'::timestamptz AS id, amount")
    assert list(frame_of(UpstreamDatabase(engine).read(orders(query), DAYS[:1]))["id"]) == ["infinity"]


@pytest.mark.parametrize(
    "moment", ["infinity", "-infinity", "9999-12-31 12:00", "10000-01-01", "0044-03-15 BC"]
)
def test_moment_is_read_exactly_or_refused(engine, order, moment):
    order("a", DAYS[0])
    query = QUERY.replace("placed_at, c", f"'{moment}'::timestamptz AS placed_at, c")
    table = UpstreamDatabase(engine).read(orders(query), DAYS[:1]).table
    (value,) = table["placed_at"].to_pylist()
    expected = datetime(9999, 12, 31, 12, tzinfo=UTC) if moment.startswith("9999") else None
    assert value == expected
    assert (table[MISFITS].null_count == 0) is (expected is None)
