"""The whole ingestion of files by the hour, of a query and of a service, and what becomes of bad input."""

from __future__ import annotations

import gzip
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from airworthy import assets
from include.declarations import Column, Dataset, FileSource, HttpSource, PostgresSource
from include.errors import AirworthyError, DataError, PartitionMissing, QualityFailed
from include.partitions import hours
from tests.faults.proxy import Proxy
from tests.include.data.sources.service import serving

DAY, NEXT = date(2013, 7, 1), date(2013, 7, 2)
HEADER = "id,level\n"
GOOD = HEADER + "".join(f"r{number},{number}.5\n" for number in range(50))


def readings(source=None, **changes):
    values = {
        "name": "readings", "owner": "test", "description": "Readings.", "key": ("id",),
        "first_partition": date(2013, 1, 1), "source": source or FileSource(path="readings/{partition}.csv"),
        "columns": (Column(name="id", dtype="string"), Column(name="level", dtype="number")),
        "volume": (10, 100), "quarantine_limit": 0.1, "landing_timeout": timedelta(seconds=30),
    }  # fmt: skip
    return Dataset(**values | changes)


@pytest.fixture
def dataset(declare_dataset):
    return declare_dataset(readings())


@pytest.fixture
def hourly(declare_dataset):
    return declare_dataset(readings(every="hour"))


@pytest.fixture
def put(lake):
    def put(name, content=GOOD, suffix="csv"):
        path = Path(lake.uri).parent / "landing" / "readings" / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return put


def later(action, seconds=0.5):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def counts(lake, table="readings"):
    return {
        f"{one:%Y-%m-%dT%H}" if isinstance(one, datetime) else f"{one}": rows
        for one, rows in lake.counts(table).items()
    }


def test_an_hour_goes_the_whole_way_and_its_neighbours_stay_as_they_are(hourly, put, lake, database, ingest):
    for name in ("2013-07-01T05", "2013-07-01T06"):
        put(name)
        ingest(hourly, name)
    put("2013-07-01T05", GOOD + "more,1.0\n")
    ingest(hourly, "2013-07-01T05")
    assert counts(lake) == {"2013-07-01T05": 51, "2013-07-01T06": 50}


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 11, 3)], ids=["spring", "autumn"])
def test_a_day_on_which_clocks_change_is_24_hours_and_then_it_is_there(
    day, hourly, put, lake, database, ingest
):
    for hour in hours(day):
        put(f"{hour:%Y-%m-%dT%H}")
    ingest(hourly, run_type="manual", first=f"{day}")
    assert lake.days("readings") == [day]
    assert len(lake.read("readings", [day])) == 24 * 50


def test_a_bulk_run_of_hours_may_begin_and_end_within_a_day(hourly, put, lake, database, ingest):
    names = ["2013-07-01T23", "2013-07-02T00", "2013-07-02T01"]
    for name in names:
        put(name)
    xcoms = ingest(hourly, run_type="manual", first=names[0], last=names[-1])
    assert sorted(counts(lake)) == names
    assert xcoms["publish", "events"][assets.dataset("readings")].partition_keys == {
        "2013-07-01T23..2013-07-02T01"
    }


@pytest.mark.parametrize("every", ["day", "hour"])
def test_a_partition_from_the_future_is_refused_before_anything_is_waited_for(
    every, declare_dataset, lake, database, ingest
):
    ahead = datetime.now(UTC) + timedelta(days=1)
    name = f"{ahead:%Y-%m-%d}" if every == "day" else f"{ahead:%Y-%m-%dT%H}"
    with pytest.raises(DataError, match=f"{name} has not begun yet: it is .* UTC. Run it when it has"):
        ingest(declare_dataset(readings(every=every)), name)


def test_an_hour_is_no_partition_of_days(dataset, lake, database, ingest):
    with pytest.raises(DataError, match="'2013-07-01T05' names hours, but the data comes by day"):
        ingest(dataset, "2013-07-01T05")


def test_a_file_that_comes_late_is_waited_for(dataset, put, lake, database, ingest):
    timer = later(lambda: put(DAY))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_a_file_that_never_comes_fails_with_its_place_and_the_run_goes_on_when_it_is_there(
    declare_dataset, put, lake, database, ingest
):
    dataset = declare_dataset(readings(landing_timeout=timedelta(seconds=0.1)))
    with pytest.raises(
        PartitionMissing, match=r"2013-07-01 did not land within .* is there \(.*/readings/2013-07-01\.csv\)"
    ):
        ingest(dataset, f"{DAY}")
    put(DAY)
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 50}


def line(number, text):
    lines = GOOD.splitlines(keepends=True)
    return "".join([*lines[:number], text, *lines[number + 1 :]])


BAD = {
    "empty": ("", DataError, r"2013-07-02\.csv is empty: not even a header"),
    "header only": (HEADER, QualityFailed, "rows_per_day|volume|rows"),
    "not UTF-8": (
        GOOD.replace("r7,", "ü7,").encode("latin-1"),
        DataError,
        "is not in UTF-8.* byte 0xfc in line 9",
    ),
    "delimiter": (GOOD.replace(",", ";"), DataError, "delimiter seems to be ';', declared is ','"),
    "column missing": ("id\na\n", DataError, "lacks level; it has id"),
    "column renamed": (GOOD.replace("level", "height"), DataError, "lacks level; it has id, height"),
    "column of another type": (GOOD.replace(".5", "m"), QualityFailed, "level is no number"),
    "most lines broken": (GOOD.replace(".5", ",5"), QualityFailed, "the line could not be read"),
    "half a file": (GOOD[:60], QualityFailed, "rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_publishes_nothing_harms_no_other_partition_and_the_corrected_file_passes(
    name, dataset, put, lake, database, ingest
):
    content, error, complaint = BAD[name]
    for day in (DAY, NEXT):
        put(day)
        ingest(dataset, f"{day}")
    version = lake.version("readings")
    put(NEXT, content)
    with pytest.raises(error, match=complaint):
        ingest(dataset, f"{NEXT}")
    assert (lake.version("readings"), counts(lake)) == (version, {"2013-07-01": 50, "2013-07-02": 50})
    put(NEXT, GOOD + "more,1.0\n")
    ingest(dataset, f"{NEXT}")
    assert counts(lake) == {"2013-07-01": 50, "2013-07-02": 51}


def test_a_truncated_gzip_publishes_nothing_and_the_whole_one_passes(
    declare_dataset, put, lake, database, ingest
):
    dataset = declare_dataset(readings(FileSource(path="readings/{partition}.csv.gz")))
    packed = gzip.compress(GOOD.encode())
    put(DAY, packed[: len(packed) // 2], "csv.gz")
    with pytest.raises(DataError, match=r"2013-07-01\.csv\.gz is cut off: its gzip has no end"):
        ingest(dataset, f"{DAY}")
    assert lake.version("readings") is None
    put(DAY, packed, "csv.gz")
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 50}


@pytest.mark.parametrize(
    "same",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: "".join(f"{','.join(one.split(',')[::-1])}\n" for one in text.splitlines()),
        lambda text: text,
    ],
    ids=["CRLF", "BOM", "reordered", "the same file twice"],
)
def test_the_same_rows_however_written_leave_one_copy(same, dataset, put, lake, database, ingest):
    put(DAY)
    ingest(dataset, f"{DAY}")
    first = lake.read("readings").sort_values("id", ignore_index=True)
    put(DAY, same(GOOD))
    ingest(dataset, f"{DAY}")
    again = lake.read("readings").sort_values("id", ignore_index=True)
    assert again[list(first)].equals(first)


def test_a_line_within_quotes_goes_the_whole_way(dataset, put, lake, database, ingest):
    put(DAY, line(3, '"two\nlines, one ""row""",2.5\n'))
    ingest(dataset, f"{DAY}")
    assert 'two\nlines, one "row"' in set(lake.read("readings")["id"])


def test_a_line_that_is_no_row_waits_in_the_quarantine_as_it_came(dataset, put, lake, database, ingest):
    put(DAY, line(3, "r2,2.5,what is this\n"))
    ingest(dataset, f"{DAY}")
    assert counts(lake) == {"2013-07-01": 49}
    (refused,) = lake.read("readings_quarantine").to_dict("records")
    assert refused["_malformed"] == "r2,2.5,what is this"
    assert refused["_because"] == "it has 3 fields, not 2"
    assert "the line could not be read" in refused["_reasons"]


def test_a_column_that_nobody_declared_is_remarked_on_and_left_out(dataset, put, lake, database, ingest):
    put(DAY, GOOD.replace("\n", ",x\n").replace("level,x", "level,unit"))
    xcoms = ingest(dataset, f"{DAY}")
    (remark,) = xcoms["extract", "remarks"]
    assert remark.endswith("readings/2013-07-01.csv has columns that nobody declared: unit")
    assert set(lake.read("readings")) == {"id", "level", "day"}


@pytest.fixture
def upstream(connection):
    with serving() as found:
        connection("harbour", conn_type="http", host=found.uri, login="ann", password="wonderland")
        yield found


@pytest.fixture
def service(declare_dataset):
    source = HttpSource(conn_id="harbour", path="/readings/{partition}.csv", format="csv")
    return declare_dataset(readings(source))


def test_a_service_is_asked_until_it_has_the_partition(service, upstream, lake, database, ingest):
    timer = later(lambda: upstream.put("/readings/2013-07-01.csv", GOOD))
    ingest(service, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}
    assert upstream.asked[0]["authorization"].startswith("Basic ")


def test_a_service_that_is_away_is_asked_again(service, upstream, connection, lake, database, ingest):
    upstream.put("/readings/2013-07-01.csv", GOOD)
    with Proxy(upstream.uri) as proxy:
        connection("harbour", conn_type="http", host=proxy.uri)
        proxy.stop()
        timer = later(proxy.start)
        ingest(service, f"{DAY}")
        timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_a_service_that_stays_away_fails_with_why(declare_dataset, service, upstream, lake, database, ingest):
    upstream.put("/readings/2013-07-01.csv", b"", status=503)
    dataset = declare_dataset(service.model_copy(update={"landing_timeout": timedelta(seconds=0.1)}))
    with pytest.raises(PartitionMissing, match=r"did not land within .*/readings/2013-07-01.csv answers 503"):
        ingest(dataset, f"{DAY}")


def test_a_password_alone_is_a_token(service, upstream, connection, lake, database, ingest):
    connection("harbour", conn_type="http", host=upstream.uri, password="wonderland")
    upstream.put("/readings/2013-07-01.csv", GOOD)
    ingest(service, f"{DAY}")
    assert {one["authorization"] for one in upstream.asked} == {"Bearer wonderland"}


def test_a_refused_login_is_not_waited_for(service, upstream, lake, database, ingest):
    later(lambda: upstream.put("/readings/2013-07-01.csv", b"", status=401), 0.2)
    with pytest.raises(
        AirworthyError, match="refuses with 401: correct login and password of the connection harbour"
    ):
        ingest(service, f"{DAY}")


@pytest.fixture
def shop(postgres, connection):
    """Return a way to write rows into somebody's database: of a day, changed at a moment."""
    engine = create_engine(postgres.url("shop"))
    url = engine.url
    parts = {"host": url.host, "port": url.port, "schema": url.database}
    connection("shop", conn_type="postgres", login=url.username, password=url.password, **parts)
    with engine.begin() as found:
        found.execute(text("CREATE TABLE sold (id text, level float8, at timestamptz, changed timestamptz)"))

    def write(day, changed, level=1.0, count=20):
        moment = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        rows = [
            {"id": f"{day}/{number}", "level": level, "at": moment, "changed": changed}
            for number in range(count)
        ]
        with engine.begin() as found:
            found.execute(text("DELETE FROM sold WHERE at = :at"), {"at": moment})
            found.execute(text("INSERT INTO sold VALUES (:id, :level, :at, :changed)"), rows)

    yield write
    engine.dispose()


@pytest.fixture
def sold(declare_dataset):
    source = PostgresSource(
        conn_id="shop",
        query="SELECT id, level, changed FROM sold WHERE at >= :start AND at < :end",
        watermark="changed",
        settle=timedelta(0),
    )
    return declare_dataset(readings(source))


def noon(day, days=0):
    return datetime(2013, 7, day, 12, tzinfo=UTC) + timedelta(days=days)


def test_a_query_is_waited_for_until_upstream_has_passed_the_partition(sold, shop, lake, database, ingest):
    shop(DAY, noon(1))
    timer = later(lambda: shop(NEXT, noon(2)))
    ingest(sold, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 20}


def test_late_changes_are_taken_again_by_runs_of_their_own(sold, shop, lake, database, ingest, supervisor):
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


def test_the_watermark_stays_where_nothing_was_published(sold, shop, lake, database, ingest, supervisor):
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


@pytest.mark.parametrize("how", ["backfill", "bulk"])
def test_runs_that_look_back_neither_move_nor_need_the_watermark(
    how, sold, shop, lake, database, ingest, supervisor
):
    shop(DAY, noon(1))
    shop(NEXT, noon(2))
    if how == "backfill":
        ingest(sold, f"{DAY}", run_type="backfill")
    else:
        ingest(sold, run_type="manual", first=f"{DAY}")
    assert (counts(lake), supervisor.state) == ({"2013-07-01": 20}, {})


def test_an_older_run_that_ends_later_does_not_turn_the_watermark_back(
    sold, shop, lake, database, ingest, supervisor
):
    for number in (1, 2, 3):
        shop(date(2013, 7, number), noon(number))
    ingest(sold, f"{NEXT}")
    ingest(sold, f"{DAY}")
    assert supervisor.state == {("readings", "watermark"): '"2013-07-02T12:00:00+00:00"'}


@pytest.fixture
def bucket(connection, object_store, lake):
    """Return a way to put an object where files land; the lake itself stays on the disk."""
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
    put.connect, put.uri = connect, uri
    return put


def test_an_object_that_comes_late_is_waited_for(dataset, bucket, lake, database, ingest):
    timer = later(lambda: bucket(DAY))
    ingest(dataset, f"{DAY}")
    timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_a_store_that_is_away_is_asked_again(dataset, bucket, object_store, lake, database, ingest):
    bucket(DAY)
    with Proxy(object_store.endpoint) as proxy:
        bucket.connect(proxy.uri)
        proxy.stop()
        timer = later(proxy.start)
        ingest(dataset, f"{DAY}")
        timer.join()
    assert counts(lake) == {"2013-07-01": 50}


def test_an_object_that_never_comes_fails_with_its_place(declare_dataset, bucket, lake, database, ingest):
    dataset = declare_dataset(readings(landing_timeout=timedelta(seconds=0.1)))
    with pytest.raises(PartitionMissing, match=rf"is there \({bucket.uri}/readings/2013-07-01\.csv\)"):
        ingest(dataset, f"{DAY}")
