from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, event, text

from include import partitions
from include.data.sources import postgres as source
from include.data.sources.postgres import Changes, UpstreamDatabase, is_later
from include.declarations import Column, Dataset, FileSource, PostgresSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable

DAYS = [date(2013, 7, number) for number in range(1, 32)]
QUERY = (
    "SELECT id, amount, paid, placed_at, changed_at FROM orders "
    "WHERE placed_at >= :start AND placed_at < :end"
)


@pytest.fixture(scope="module")
def shop(postgres):
    found = create_engine(postgres.create_database("upstream"))
    with found.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE orders (id text PRIMARY KEY, amount numeric, paid boolean, "
                "placed_at timestamptz, changed_at timestamptz, "
                "revision bigint GENERATED ALWAYS AS IDENTITY)"
            )
        )
    yield found.url
    found.dispose()


@pytest.fixture
def engine(shop):
    found = create_engine(shop)
    with found.begin() as connection:
        connection.execute(text("TRUNCATE orders RESTART IDENTITY"))
    yield found
    found.dispose()


@pytest.fixture
def order(engine):
    """Return a way to write an order of a day, that changed at the moment it was placed or later."""

    def write(name, day, changed=None, amount=1.5, hour=12):
        placed = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        values = {"id": name, "amount": amount, "placed": placed, "changed": changed or placed}
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO orders VALUES (:id, :amount, true, :placed, :changed) "
                    "ON CONFLICT (id) DO UPDATE SET amount = :amount, changed_at = :changed"
                ),
                values,
            )

    return write


def orders(query=QUERY, watermark="changed_at", granularity="day", settle=timedelta(0), **changes):
    values = {
        "name": "orders", "owner": "test", "description": "Orders.", "key": ("id",),
        "granularity": granularity, "first_partition": DAYS[0],
        "source": PostgresSource(conn_id="shop", query=query, watermark=watermark, settle=settle),
        "columns": (
            Column(name="id", dtype="string"),
            Column(name="amount", dtype="number"),
            Column(name="paid", dtype="boolean"),
            Column(name="placed_at", dtype="timestamp"),
        ),
    }  # fmt: skip
    return Dataset(**values | changes)


def test_the_rows_of_a_partition_are_those_from_its_start_to_before_its_end(engine, order):
    midnight = datetime(2013, 7, 2, tzinfo=UTC)
    order("a", DAYS[0], hour=0)
    order("b", DAYS[0], hour=23)
    order("c", DAYS[1], hour=0)
    rows = UpstreamDatabase(engine).read(orders(), DAYS[:1]).rows
    assert rows.drop(columns="placed_at").to_dict("list") == {
        "id": ["a", "b"], "amount": [1.5, 1.5], "paid": [True, True], "day": ["2013-07-01"] * 2
    }  # fmt: skip
    assert (str(rows["placed_at"].dtype), rows["placed_at"].max() < midnight) == ("datetime64[us, UTC]", True)


def test_hours_are_partitions_like_days(engine, order):
    for hour in (4, 5, 6):
        order(f"at {hour}", DAYS[0], hour=hour)
    five = datetime(2013, 7, 1, 5, tzinfo=UTC)
    rows = UpstreamDatabase(engine).read(orders(granularity="hour"), [five]).rows
    assert rows[["id", "day", "hour"]].to_dict("records") == [
        {"id": "at 5", "day": "2013-07-01", "hour": "05"}
    ]


def test_a_partition_without_rows_has_no_rows_but_its_columns(engine):
    rows = UpstreamDatabase(engine).read(orders(), DAYS[:1]).rows
    assert (len(rows), list(rows)) == (0, ["id", "amount", "paid", "placed_at", "day"])


def test_all_partitions_are_read_as_they_were_at_one_moment(engine, order, monkeypatch):
    order("a", DAYS[0])
    whole = source._batches

    def meanwhile(result):
        order("b", DAYS[1])
        return whole(result)

    monkeypatch.setattr(source, "_batches", meanwhile)
    assert list(UpstreamDatabase(engine).read(orders(), DAYS[:2]).rows["id"]) == ["a"]


def test_upstream_is_never_written(engine, order):
    order("a", DAYS[0])
    taking = orders(QUERY.replace("SELECT id", "SELECT nextval('orders_revision_seq')::text AS id"))
    with pytest.raises(DataError, match=r"cannot execute nextval\(\) in a read-only transaction"):
        UpstreamDatabase(engine).read(taking, DAYS[:1])
    assert len(UpstreamDatabase(engine).read(orders(), DAYS[:1]).rows) == 1


def test_rows_come_in_batches_and_no_more_than_anybody_needs_to_see(engine, monkeypatch):
    monkeypatch.setattr(source, "BATCH", 100)
    many = "SELECT n::text AS id, n AS amount, true AS paid, CAST(:start AS timestamptz) AS placed_at, " \
           "CAST(:end AS timestamptz) AS changed_at FROM generate_series(1, 100000) AS n"  # fmt: skip
    upstream = UpstreamDatabase(engine)
    assert len(upstream.read(orders(many, volume=(1, 10_000)), DAYS[:1]).rows) == 100_000
    with pytest.raises(DataError, match=r"2013-07-01 returned more than 500 rows, 10 times what the volume"):
        upstream.read(orders(many, volume=(1, 50)), DAYS[:1])


def test_a_column_that_nobody_declared_is_remarked_on(engine, order):
    order("a", DAYS[0])
    extract = UpstreamDatabase(engine).read(orders(QUERY.replace("amount,", "amount, 1 AS extra,")), DAYS[:1])
    assert extract.remarks == ("the query of orders returns columns that nobody declared: extra",)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
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
def test_a_query_that_does_not_do_is_named_with_what_is_wrong(engine, order, before, after, complaint):
    order("a", DAYS[0])
    with pytest.raises(DataError, match=rf"the query of orders at .*\(shop\) for .*{complaint}"):
        UpstreamDatabase(engine).read(orders(QUERY.replace(before, after)), DAYS[:1])


def test_a_query_that_takes_too_long_is_given_up(engine, order):
    order("a", DAYS[0])
    slow = orders(QUERY.replace("SELECT id", "SELECT pg_sleep(30)::text AS id"))
    with pytest.raises(DataError, match="canceling statement due to statement timeout"):
        UpstreamDatabase(engine, seconds=1).read(slow, DAYS[:1])


def test_a_database_that_is_away_is_an_accident_that_hides_no_place_and_tells_no_password():
    away = create_engine("postgresql+psycopg2://ann:wonderland@127.0.0.1:9/shop")
    with pytest.raises(ServiceUnavailable, match=r"127.0.0.1:9/shop \(shop\).* is away or busy") as raised:
        UpstreamDatabase(away).read(orders(), DAYS[:1])
    assert "wonderland" not in str(raised.value)


def test_a_database_that_goes_away_in_between_is_an_accident_and_reading_goes_on_when_it_is_back(
    engine, order, postgres
):
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
    assert len(upstream.read(orders(), DAYS[:1]).rows) == 1


def test_a_partition_is_waited_for_until_upstream_has_passed_its_end(engine, order):
    upstream = UpstreamDatabase(engine)
    assert upstream.missing(orders(), DAYS[:1]) == DAYS[:1]
    order("a", DAYS[0], changed=datetime(2013, 7, 1, 23, 59, tzinfo=UTC))
    assert upstream.missing(orders(), DAYS[:1]) == DAYS[:1]
    order("a", DAYS[0], changed=datetime(2013, 7, 2, tzinfo=UTC))
    assert upstream.missing(orders(), DAYS[:2]) == DAYS[1:2]
    order("c", DAYS[2])
    assert upstream.missing(orders(), DAYS[:2]) == []


@pytest.mark.parametrize("watermark", [None, "revision"])
def test_without_a_watermark_of_moments_the_partition_has_to_have_ended(engine, order, watermark):
    order("a", DAYS[0])
    dataset = orders(QUERY.replace("changed_at", "revision"), watermark=watermark)
    today = datetime.now(UTC).date()
    assert UpstreamDatabase(engine).missing(dataset, [*DAYS[:1], today]) == [today]
    with pytest.raises(PartitionMissing, match=f"for {today} is not complete: it has not ended"):
        UpstreamDatabase(engine).read(dataset, [today])


def test_the_first_run_begins_to_watch_and_finds_nothing_late(engine, order):
    order("a", DAYS[0])
    order("b", DAYS[1])
    assert UpstreamDatabase(engine).changes(orders(), None, DAYS[0], []) == Changes(
        "2013-07-01T12:00:00+00:00"
    )


def test_partitions_in_which_rows_changed_since_are_found_however_many_there_are(engine, order):
    for number, day in enumerate(DAYS):
        order(f"{number}", day)
    upstream, asked = UpstreamDatabase(engine), []
    since = upstream.changes(orders(), None, DAYS[-2], []).watermark
    for number in (3, 4, 17):
        order(f"{number}", DAYS[number], changed=datetime(2013, 7, 31, 6, tzinfo=UTC), amount=9)
    event.listen(engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    found = upstream.changes(orders(), since, DAYS[-1], DAYS[:-1])
    assert found == Changes("2013-07-31T12:00:00+00:00", (DAYS[3], DAYS[4], DAYS[17]))
    assert len(asked) < 30
    assert upstream.changes(orders(), found.watermark, DAYS[-1], DAYS[:-1]).late == ()


def test_a_new_row_of_an_old_partition_is_late_too(engine, order):
    order("a", DAYS[0])
    order("b", DAYS[1])
    since = UpstreamDatabase(engine).changes(orders(), None, DAYS[1], []).watermark
    order("late", DAYS[0], changed=datetime(2013, 7, 3, tzinfo=UTC))
    assert UpstreamDatabase(engine).changes(orders(), since, DAYS[2], DAYS[:2]).late == (DAYS[0],)


def test_only_published_partitions_are_late_the_others_have_runs_of_their_own(engine, order):
    for day in DAYS[:3]:
        order(f"{day}", day, changed=datetime(2013, 7, 9, tzinfo=UTC))
    found = UpstreamDatabase(engine).changes(
        orders(), "2013-07-01T00:00:00+00:00", DAYS[3], [DAYS[1], DAYS[3], DAYS[4]]
    )
    assert found.late == (DAYS[1],)


def test_a_change_of_just_now_is_left_for_the_next_run(engine, order):
    now = datetime.now(UTC)
    order("a", DAYS[0], changed=now)
    mark = UpstreamDatabase(engine).changes(orders(settle=timedelta(hours=1)), None, DAYS[0], []).watermark
    assert now - timedelta(minutes=61) < datetime.fromisoformat(mark) < now - timedelta(minutes=59)
    assert UpstreamDatabase(engine).changes(orders(), mark, DAYS[1], DAYS[:1]).late == (DAYS[0],)


def test_whole_numbers_are_watermarks_too(engine, order):
    dataset = orders(QUERY.replace("changed_at", "revision"), watermark="revision")
    order("a", DAYS[0])
    order("b", DAYS[1])
    assert UpstreamDatabase(engine).changes(dataset, None, DAYS[1], []) == Changes(2)
    order("c", DAYS[0])
    assert UpstreamDatabase(engine).changes(dataset, 2, DAYS[1], DAYS[:1]) == Changes(3, (DAYS[0],))


def test_a_watermark_that_cannot_be_one_is_named(engine, order):
    order("a", DAYS[0])
    with pytest.raises(DataError, match="watermark id of orders is of type str: choose a column of moments"):
        UpstreamDatabase(engine).changes(orders(watermark="id"), None, DAYS[0], [])


def test_a_database_without_rows_moves_no_watermark(engine):
    assert UpstreamDatabase(engine).changes(orders(), "2013-07-01T00:00:00+00:00", DAYS[0], DAYS) == Changes(
        "2013-07-01T00:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("one", "other", "later"),
    [
        (3, None, True), (3, 2, True), (2, 3, False), (3, 3, False),
        ("2013-07-01T12:00:00+00:00", "2013-07-01T11:00:00-05:00", False),
        ("2013-07-01T12:00:00.000001+00:00", "2013-07-01T12:00:00+00:00", True),
    ],
)  # fmt: skip
def test_watermarks_are_compared_as_what_they_are(one, other, later):
    assert is_later(one, other) is later


def test_a_partition_is_named_by_its_query_its_database_and_its_name(engine):
    assert UpstreamDatabase(engine).location(orders(granularity="hour"), partitions.hours_of(DAYS[0])[5]) == (
        f"the query of orders at 127.0.0.1:{engine.url.port}/{engine.url.database} (shop) for 2013-07-01T05"
    )


def test_a_dataset_of_files_has_no_query(engine):
    with pytest.raises(DeclarationError, match="orders comes from file: it has no query"):
        UpstreamDatabase(engine).read(orders(source=FileSource(path="{partition}.csv")), DAYS[:1])
