from __future__ import annotations

import gzip
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from include.data.sources.http import HttpService
from include.declarations import Column, Dataset, FileSource, HttpSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable, SettingsError
from tests.conftest import free_ports
from tests.include.data.sources.extracts import frame_of
from tests.include.data.sources.service import serving

DAY = date(2013, 7, 1)
NEXT = date(2013, 7, 2)
ROWS = '{"id": "a", "level": 1.5}\n{"id": "b", "level": 2.5}\n'


@pytest.fixture
def upstream():
    with serving() as running:
        yield running


@pytest.fixture
def service(upstream):
    with httpx.Client(base_url=upstream.uri, timeout=1) as client:
        yield HttpService(client)


def tides(path="/tides/{partition}.jsonl", **changes):
    values = {
        "name": "tides", "owner": "test", "description": "Tides.", "key": ("id",), "first_partition": DAY,
        "source": HttpSource(conn_id="harbour", path=path),
        "columns": (Column(name="id", dtype="string"), Column(name="level", dtype="number")),
    }  # fmt: skip
    return Dataset(**values | changes)


def test_rows_are_those_of_the_answers(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS)
    upstream.put("/tides/2013-07-02.jsonl", ROWS.replace("1.5", "3.5"))
    rows = frame_of(service.read(tides(), [DAY, NEXT]))
    assert rows.to_dict("list") == {
        "id": ["a", "b"] * 2, "level": [1.5, 2.5, 3.5, 2.5],
        "_airworthy_day": ["2013-07-01"] * 2 + ["2013-07-02"] * 2
    }  # fmt: skip


def test_hour_is_requested_by_its_name(service, upstream):
    upstream.put("/tides/2013-07-01T05.jsonl", ROWS)
    rows = frame_of(service.read(tides(granularity="hour"), [datetime(2013, 7, 1, 5, tzinfo=UTC)]))
    assert (set(rows["_airworthy_day"]), set(rows["_airworthy_hour"])) == ({"2013-07-01"}, {"05"})


def test_404_means_that_a_partition_is_missing(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS)
    assert service.missing(tides(), [DAY, NEXT]) == [NEXT]
    with pytest.raises(PartitionMissing, match=rf"{upstream.uri}/tides/2013-07-02.jsonl does not exist yet"):
        service.read(tides(), [NEXT])
    upstream.put("/tides/2013-07-02.jsonl", ROWS)
    assert service.missing(tides(), [DAY, NEXT]) == []


def test_file_of_all_days_is_sent_again_when_it_changed(service, upstream):
    columns = (Column(name="id", dtype="string"), Column(name="on", dtype="string"))
    source = HttpSource(conn_id="harbour", path="/tides.csv", format="csv", split_by="on")
    dataset = tides(source=source, columns=columns)
    assert service.missing(dataset, [DAY, NEXT]) == [DAY, NEXT]
    upstream.put("/tides.csv", "id,on\na,2013-07-01\n", headers={"ETag": '"1"'})
    assert [service.missing(dataset, [DAY, NEXT]) for _ in range(2)] == [[NEXT]] * 2
    assert [request.get("if-none-match") for request in upstream.requests] == [None, None, '"1"']
    upstream.put("/tides.csv", "id,on\na,2013-07-02\n", headers={"ETag": '"2"'})
    assert service.missing(dataset, [DAY, NEXT]) == []
    upstream.put("/tides.csv", "id,on\na,2013-07-03\n")
    assert service.missing(dataset, [date(2013, 7, 3)]) == []
    assert service.newest["tides"][0] == {"If-None-Match": '"2"'}


@pytest.mark.parametrize("tag", [{}, {"ETag": '"1"'}])
@pytest.mark.parametrize(("age_s", "is_trusted"), [(0, False), (1, False), (4, True)])
def test_file_that_was_just_changed_is_read_again(service, upstream, tag, age_s, is_trusted):
    columns = (Column(name="id", dtype="string"), Column(name="on", dtype="string"))
    source = HttpSource(conn_id="harbour", path="/tides.csv", format="csv", split_by="on")
    dataset = tides(source=source, columns=columns)
    modified_at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=age_s)
    headers = {"Last-Modified": format_datetime(modified_at, usegmt=True)} | tag
    upstream.put("/tides.csv", "id,on\na,2013-07-01\n", headers=headers)
    assert service.missing(dataset, [DAY, NEXT]) == [NEXT]
    # The file changes again within the same second.
    upstream.put("/tides.csv", "id,on\na,2013-07-02\n", headers=headers)
    assert service.missing(dataset, [DAY, NEXT]) == ([NEXT] if is_trusted else [])


def test_time_of_change_that_is_none_is_not_trusted(service, upstream):
    columns = (Column(name="id", dtype="string"), Column(name="on", dtype="string"))
    source = HttpSource(conn_id="harbour", path="/tides.csv", format="csv", split_by="on")
    upstream.put("/tides.csv", "id,on\na,2013-07-01\n", headers={"Last-Modified": "yesterday"})
    assert service.missing(tides(source=source, columns=columns), [DAY]) == []
    assert service.newest == {}


def test_missing_reads_no_content(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", b"x", length=1 << 40)
    assert service.missing(tides(), [DAY]) == []


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, SettingsError, "refuses with 401: correct login and password of the connection harbour"),
        (403, SettingsError, "refuses with 403"),
        (400, DataError, "answers 400, where 200 or 404 were expected"),
        (429, ServiceUnavailable, "answers 429: it is away or too busy"),
        (500, ServiceUnavailable, "answers 500: it is away or too busy"),
        (503, ServiceUnavailable, "answers 503: it is away or too busy"),
    ],
)
def test_other_status_raises_an_error_with_the_location(service, upstream, status, error, message):
    upstream.put("/tides/2013-07-01.jsonl", b"no", status=status)
    for action in (service.missing, service.read):
        with pytest.raises(error, match=f"/tides/2013-07-01.jsonl {message}"):
            action(tides(), [DAY])


def test_unreachable_service_can_be_retried():
    client = httpx.Client(base_url=f"http://127.0.0.1:{free_ports(1)[0]}")
    with client, pytest.raises(ServiceUnavailable, match=r"does not answer as expected \(ConnectError"):
        HttpService(client).missing(tides(), [DAY])


def test_incomplete_answer_can_be_retried(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS, length=10 * len(ROWS))
    with pytest.raises(ServiceUnavailable, match="does not answer as expected"):
        service.read(tides(), [DAY])


def test_slow_answer_times_out(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS, delay_per_byte=0.05)
    with pytest.raises(ServiceUnavailable, match=r"was still sending after 0\.2 s"):
        HttpService(service.client, timeout_s=0.2).read(tides(), [DAY])


def test_large_answer_is_refused(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS * 1000)
    with pytest.raises(DataError, match=r"2013-07-01.jsonl is larger than 0 MiB"):
        HttpService(service.client, max_bytes=10_000).read(tides(), [DAY])


def test_compressed_answers_are_decompressed(service, upstream):
    upstream.put("/by-name/2013-07-01.jsonl.gz", gzip.compress(ROWS.encode()))
    upstream.put(
        "/by-header/2013-07-01.jsonl", gzip.compress(ROWS.encode()), headers={"Content-Encoding": "gzip"}
    )
    for path in ("/by-name/{partition}.jsonl.gz", "/by-header/{partition}.jsonl"):
        assert len(frame_of(service.read(tides(path), [DAY]))) == 2


def test_error_page_with_status_200_is_no_data(service, upstream):
    upstream.put("/tides/2013-07-01.csv", "<html>\n<body>Try later</body>\n</html>\n")
    dataset = tides(source=HttpSource(conn_id="harbour", path="/tides/{partition}.csv", format="csv"))
    with pytest.raises(DataError, match=r"2013-07-01.csv lacks id, level; it has <html>"):
        service.read(dataset, [DAY])


def test_dataset_of_files_is_refused(service):
    with pytest.raises(DeclarationError, match="tides comes from file: no service has it"):
        service.missing(tides(source=FileSource(path="tides/{partition}.csv")), [DAY])
