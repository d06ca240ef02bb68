from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, event, text

from include.data.sources import base
from include.data.sources import database as database_module
from include.data.sources.database import Changes, UpstreamDatabase, is_later
from include.declarations import FileSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable
from include.partitions import hours_of
from tests.include.data.sources.extracts import frame_of
from tests.include.data.sources.orders import DAYS, QUERY, orders


def test_rows_are_those_from_start_to_before_the_end(engine, order):
    midnight = datetime(2013, 7, 2, tzinfo=UTC)
    order("a", DAYS[0], hour=0)
    order("b", DAYS[0], hour=23)
    order("c", DAYS[1], hour=0)
    rows = frame_of(UpstreamDatabase(engine).read(orders(), DAYS[:1]))
    assert rows.drop(columns="placed_at").to_dict("list") == {
        "id": ["a", "b"], "amount": [1.5, 1.5], "paid": [True, True], "_airworthy_day": ["2013-07-01"] * 2
    }  # fmt: skip
    assert (str(rows["placed_at"].dtype), rows["placed_at"].max() < midnight) == ("datetime64[us, UTC]", True)


def test_hour_is_read(engine, order):
    for hour in (4, 5, 6):
        order(f"at {hour}", DAYS[0], hour=hour)
    five = datetime(2013, 7, 1, 5, tzinfo=UTC)
    rows = frame_of(UpstreamDatabase(engine).read(orders(granularity="hour"), [five]))
    assert rows[["id", "_airworthy_day", "_airworthy_hour"]].to_dict("records") == [
        {"id": "at 5", "_airworthy_day": "2013-07-01", "_airworthy_hour": "05"}
    ]


def test_empty_partition_keeps_its_columns(engine):
    rows = frame_of(UpstreamDatabase(engine).read(orders(), DAYS[:1]))
    assert (len(rows), list(rows)) == (0, ["id", "amount", "paid", "placed_at", "_airworthy_day"])


def test_all_partitions_are_read_as_of_one_moment(engine, order, monkeypatch):
    order("a", DAYS[0])
    read_driver_rows = database_module.read_driver_rows

    def insert_meanwhile(rows, *how):
        if len(rows):
            order("b", DAYS[1])
        return read_driver_rows(rows, *how)

    monkeypatch.setattr(database_module, "read_driver_rows", insert_meanwhile)
    assert list(frame_of(UpstreamDatabase(engine).read(orders(), DAYS[:2]))["id"]) == ["a"]


def test_query_that_writes_is_refused(engine, order):
    order("a", DAYS[0])
    writing = orders(QUERY.replace("SELECT id", "SELECT nextval('orders_revision_seq')::text AS id"))
    with pytest.raises(DataError, match=r"cannot execute nextval\(\) in a read-only transaction"):
        UpstreamDatabase(engine).read(writing, DAYS[:1])
    assert len(frame_of(UpstreamDatabase(engine).read(orders(), DAYS[:1]))) == 1


def test_rows_are_read_in_batches_up_to_a_maximum(engine, monkeypatch):
    monkeypatch.setattr(database_module, "BATCH_ROWS", 100)
    many = "SELECT n::text AS id, n AS amount, true AS paid, CAST(:start AS timestamptz) AS placed_at, " \
           "CAST(:end AS timestamptz) AS changed_at FROM generate_series(1, 100000) AS n"  # fmt: skip
    upstream = UpstreamDatabase(engine)
    assert upstream.read(orders(many, volume=(1, 10_000)), DAYS[:1]).table.num_rows == 100_000
    with pytest.raises(DataError, match=r"2013-07-01 returned more than 500 rows, 10 times what the volume"):
        upstream.read(orders(many, volume=(1, 50)), DAYS[:1])


def test_rows_are_streamed_from_the_server(engine, monkeypatch):
    monkeypatch.setattr(base, "READ_AHEAD_BYTES", 0)
    monkeypatch.setattr(database_module, "BATCH_ROWS", 100)
    # The server computes the rows after the first ones only when they are fetched.
    failing = "SELECT n::text AS id, 1 / (1000 - n) AS amount, true AS paid, " \
              "CAST(:start AS timestamptz) AS placed_at, CAST(:end AS timestamptz) AS changed_at " \
              "FROM generate_series(1, 2000) AS n"  # fmt: skip
    tables = iter(UpstreamDatabase(engine).read(orders(failing), DAYS[:1]).tables)
    assert [next(tables).num_rows for _ in range(3)] == [0, 100, 100]
    with pytest.raises(DataError, match="for 2013-07-01 fails: division by zero"):
        list(tables)


def test_undeclared_column_is_remarked(engine, order):
    order("a", DAYS[0])
    extract = UpstreamDatabase(engine).read(orders(QUERY.replace("amount,", "amount, 1 AS extra,")), DAYS[:1])
    assert extract.remarks == ("the query of orders returns columns that are not declared: extra",)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "amount,",
            "",
            r"2013-07-01 has amount not exactly once; it returns id, paid, placed_at, changed_at",
        ),
        ("amount,", "amount, 2 AS amount,", r"has amount not exactly once"),
        ("FROM orders", "FROM order_s", r'fails: .*relation "order_s" does not exist.* Correct the query'),
        ("SELECT id", "SELECT 1/0 AS id", r"fails: division by zero"),
    ],
    ids=["missing", "twice", "no table", "no number"],
)
def test_wrong_query_is_named_with_the_reason(engine, order, before, after, message):
    order("a", DAYS[0])
    with pytest.raises(DataError, match=rf"the query of orders at .*\(shop\) for .*{message}"):
        UpstreamDatabase(engine).read(orders(QUERY.replace(before, after)), DAYS[:1])


def test_slow_query_times_out(engine, order):
    order("a", DAYS[0])
    slow = orders(QUERY.replace("SELECT id", "SELECT pg_sleep(30)::text AS id"))
    with pytest.raises(DataError, match="canceling statement due to statement timeout"):
        UpstreamDatabase(engine, timeout_s=1).read(slow, DAYS[:1])


def test_unreachable_database_is_named_without_password():
    away = create_engine("postgresql+psycopg2://ann:wonderland@127.0.0.1:9/shop")
    with pytest.raises(ServiceUnavailable, match=r"127.0.0.1:9/shop \(shop\).* is away or busy") as raised:
        UpstreamDatabase(away).read(orders(), DAYS[:1])
    assert "wonderland" not in str(raised.value)


def test_lost_connection_can_be_retried(engine, order, postgres):
    order("a", DAYS[0])
    upstream = UpstreamDatabase(engine)

    @event.listens_for(engine, "before_cursor_execute", named=True)
    def end(statement, **_):
        if "FROM orders" in statement:
            with postgres.admin.connect() as admin:
                admin.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
                    {"name": engine.url.database},
                )

    with pytest.raises(ServiceUnavailable, match="is away or busy"):
        upstream.read(orders(), DAYS[:1])
    event.remove(engine, "before_cursor_execute", end)
    assert len(frame_of(upstream.read(orders(), DAYS[:1]))) == 1


def test_partition_is_missing_until_there_are_later_changes(engine, order):
    upstream = UpstreamDatabase(engine)
    assert upstream.missing(orders(), DAYS[:1]) == DAYS[:1]
    order("a", DAYS[0], changed=datetime(2013, 7, 1, 23, 59, tzinfo=UTC))
    assert upstream.missing(orders(), DAYS[:1]) == DAYS[:1]
    order("a", DAYS[0], changed=datetime(2013, 7, 2, tzinfo=UTC))
    assert upstream.missing(orders(), DAYS[:2]) == DAYS[1:2]
    order("c", DAYS[2])
    assert upstream.missing(orders(), DAYS[:2]) == []


@pytest.mark.parametrize("watermark", [None, "revision"])
def test_partition_is_missing_until_it_has_ended(engine, order, watermark):
    order("a", DAYS[0])
    dataset = orders(QUERY.replace("changed_at", "revision"), watermark=watermark)
    today = datetime.now(UTC).date()
    assert UpstreamDatabase(engine).missing(dataset, [*DAYS[:1], today]) == [today]
    with pytest.raises(PartitionMissing, match=f"for {today} is not complete: it has not ended"):
        UpstreamDatabase(engine).read(dataset, [today])


def test_first_run_has_a_watermark_and_no_late_partitions(engine, order):
    order("a", DAYS[0])
    order("b", DAYS[1])
    assert UpstreamDatabase(engine).changes(orders(), None, DAYS[0], []) == Changes(
        "2013-07-01T12:00:00+00:00"
    )


def test_changed_partitions_are_found_by_few_queries(engine, order):
    for number, day in enumerate(DAYS):
        order(f"{number}", day)
    upstream = UpstreamDatabase(engine)
    queries = []
    since = upstream.changes(orders(), None, DAYS[-2], []).watermark
    for number in (3, 4, 17):
        order(f"{number}", DAYS[number], changed=datetime(2013, 7, 31, 6, tzinfo=UTC), amount=9)
    event.listen(engine, "before_cursor_execute", lambda *arguments: queries.append(arguments[2]))
    changes = upstream.changes(orders(), since, DAYS[-1], DAYS[:-1])
    assert changes == Changes("2013-07-31T12:00:00+00:00", (DAYS[3], DAYS[4], DAYS[17]))
    assert len(queries) < 30
    assert upstream.changes(orders(), changes.watermark, DAYS[-1], DAYS[:-1]).late == ()


def test_partition_with_a_new_row_is_late(engine, order):
    order("a", DAYS[0])
    order("b", DAYS[1])
    since = UpstreamDatabase(engine).changes(orders(), None, DAYS[1], []).watermark
    order("late", DAYS[0], changed=datetime(2013, 7, 3, tzinfo=UTC))
    assert UpstreamDatabase(engine).changes(orders(), since, DAYS[2], DAYS[:2]).late == (DAYS[0],)


def test_only_published_partitions_are_late(engine, order):
    for day in DAYS[:3]:
        order(f"{day}", day, changed=datetime(2013, 7, 9, tzinfo=UTC))
    changes = UpstreamDatabase(engine).changes(
        orders(), "2013-07-01T00:00:00+00:00", DAYS[3], [DAYS[1], DAYS[3], DAYS[4]]
    )
    assert changes.late == (DAYS[1],)


def test_recent_change_is_left_to_the_next_run(engine, order):
    now = datetime.now(UTC)
    order("a", DAYS[0], changed=now)
    upstream = UpstreamDatabase(engine)
    watermark = upstream.changes(orders(settle=timedelta(hours=1)), None, DAYS[0], []).watermark
    assert now - timedelta(minutes=61) < datetime.fromisoformat(watermark) < now - timedelta(minutes=59)
    assert upstream.changes(orders(), watermark, DAYS[1], DAYS[:1]).late == (DAYS[0],)


def test_watermark_may_be_a_whole_number(engine, order):
    dataset = orders(QUERY.replace("changed_at", "revision"), watermark="revision")
    order("a", DAYS[0])
    order("b", DAYS[1])
    assert UpstreamDatabase(engine).changes(dataset, None, DAYS[1], []) == Changes(2)
    order("c", DAYS[0])
    assert UpstreamDatabase(engine).changes(dataset, 2, DAYS[1], DAYS[:1]) == Changes(3, (DAYS[0],))


def test_watermark_of_another_type_is_refused(engine, order):
    order("a", DAYS[0])
    with pytest.raises(DataError, match="watermark id of orders is of type str: choose a column of moments"):
        UpstreamDatabase(engine).changes(orders(watermark="id"), None, DAYS[0], [])


def test_empty_database_keeps_the_watermark(engine):
    assert UpstreamDatabase(engine).changes(orders(), "2013-07-01T00:00:00+00:00", DAYS[0], DAYS) == Changes(
        "2013-07-01T00:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("watermark", "other", "later"),
    [
        (3, None, True), (3, 2, True), (2, 3, False), (3, 3, False),
        ("2013-07-01T12:00:00+00:00", "2013-07-01T11:00:00-05:00", False),
        ("2013-07-01T12:00:00.000001+00:00", "2013-07-01T12:00:00+00:00", True),
    ],
)  # fmt: skip
def test_watermarks_are_compared_as_numbers_or_moments(watermark, other, later):
    assert is_later(watermark, other) is later


def test_location_names_query_database_and_partition(engine):
    url = create_engine("sqlite:////srv/shop.db")
    assert UpstreamDatabase(url).location(orders(), DAYS[0]) == (
        "the query of orders at /srv/shop.db (shop) for 2013-07-01"
    )
    assert UpstreamDatabase(engine).location(orders(granularity="hour"), hours_of(DAYS[0])[5]) == (
        f"the query of orders at 127.0.0.1:{engine.url.port}/{engine.url.database} (shop) for 2013-07-01T05"
    )


def test_dataset_of_files_is_refused(engine):
    with pytest.raises(DeclarationError, match="orders comes from file: it has no query"):
        UpstreamDatabase(engine).read(orders(source=FileSource(path="{partition}.csv")), DAYS[:1])
