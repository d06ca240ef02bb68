from __future__ import annotations

import gzip
from datetime import UTC, date, datetime

import httpx
import pytest

from include.data.sources.http import HttpService
from include.declarations import Column, Dataset, FileSource, HttpSource
from include.errors import DataError, DeclarationError, PartitionMissing, ServiceUnavailable, SettingsError
from tests.conftest import free_ports
from tests.include.data.sources.service import serving

DAY, NEXT = date(2013, 7, 1), date(2013, 7, 2)
ROWS = '{"id": "a", "level": 1.5}\n{"id": "b", "level": 2.5}\n'


@pytest.fixture
def upstream():
    with serving() as found:
        yield found


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


def test_what_the_service_answers_are_the_rows(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS)
    upstream.put("/tides/2013-07-02.jsonl", ROWS.replace("1.5", "3.5"))
    rows = service.read(tides(), [DAY, NEXT]).rows
    assert rows.to_dict("list") == {
        "id": ["a", "b"] * 2, "level": [1.5, 2.5, 3.5, 2.5], "day": ["2013-07-01"] * 2 + ["2013-07-02"] * 2
    }  # fmt: skip


def test_an_hour_is_asked_for_by_its_name(service, upstream):
    upstream.put("/tides/2013-07-01T05.jsonl", ROWS)
    rows = service.read(tides(granularity="hour"), [datetime(2013, 7, 1, 5, tzinfo=UTC)]).rows
    assert (set(rows["day"]), set(rows["hour"])) == ({"2013-07-01"}, {"05"})


def test_404_is_not_there_yet(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS)
    assert service.missing(tides(), [DAY, NEXT]) == [NEXT]
    with pytest.raises(PartitionMissing, match=rf"{upstream.uri}/tides/2013-07-02.jsonl is not there yet"):
        service.read(tides(), [NEXT])
    upstream.put("/tides/2013-07-02.jsonl", ROWS)
    assert service.missing(tides(), [DAY, NEXT]) == []


def test_looking_reads_not_a_byte_of_the_answer(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", b"x", length=1 << 40)
    assert service.missing(tides(), [DAY]) == []


@pytest.mark.parametrize(
    ("status", "error", "complaint"),
    [
        (401, SettingsError, "refuses with 401: correct login and password of the connection harbour"),
        (403, SettingsError, "refuses with 403"),
        (400, DataError, "answers 400, where 200 or 404 were expected"),
        (429, ServiceUnavailable, "answers 429: it is away or too busy"),
        (500, ServiceUnavailable, "answers 500: it is away or too busy"),
        (503, ServiceUnavailable, "answers 503: it is away or too busy"),
    ],
)
def test_any_other_answer_is_a_decision_or_an_accident_with_its_place(
    service, upstream, status, error, complaint
):
    upstream.put("/tides/2013-07-01.jsonl", b"no", status=status)
    for action in (service.missing, service.read):
        with pytest.raises(error, match=f"/tides/2013-07-01.jsonl {complaint}"):
            action(tides(), [DAY])


def test_a_service_that_is_away_is_an_accident():
    client = httpx.Client(base_url=f"http://127.0.0.1:{free_ports(1)[0]}")
    with client, pytest.raises(ServiceUnavailable, match=r"does not answer as it should \(ConnectError"):
        HttpService(client).missing(tides(), [DAY])


def test_an_answer_that_stops_in_between_is_an_accident_and_no_shorter_file(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS, length=10 * len(ROWS))
    with pytest.raises(ServiceUnavailable, match="does not answer as it should"):
        service.read(tides(), [DAY])


def test_an_answer_that_drips_is_given_up(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS, every=0.05)
    with pytest.raises(ServiceUnavailable, match=r"was still sending after 0\.2 s"):
        HttpService(service.client, seconds=0.2).read(tides(), [DAY])


def test_an_answer_that_is_too_large_is_not_read_to_its_end(service, upstream):
    upstream.put("/tides/2013-07-01.jsonl", ROWS * 1000)
    with pytest.raises(DataError, match=r"2013-07-01.jsonl is larger than 0 MiB"):
        HttpService(service.client, maximum_bytes=10_000).read(tides(), [DAY])


def test_packed_answers_are_unpacked_whoever_packed_them(service, upstream):
    upstream.put("/by-name/2013-07-01.jsonl.gz", gzip.compress(ROWS.encode()))
    upstream.put(
        "/by-header/2013-07-01.jsonl", gzip.compress(ROWS.encode()), headers={"Content-Encoding": "gzip"}
    )
    for path in ("/by-name/{partition}.jsonl.gz", "/by-header/{partition}.jsonl"):
        assert len(service.read(tides(path), [DAY]).rows) == 2


def test_an_error_page_with_200_is_no_data(service, upstream):
    upstream.put("/tides/2013-07-01.csv", "<html>\n<body>Try later</body>\n</html>\n")
    dataset = tides(source=HttpSource(conn_id="harbour", path="/tides/{partition}.csv", format="csv"))
    with pytest.raises(DataError, match=r"2013-07-01.csv lacks id, level; it has <html>"):
        service.read(dataset, [DAY])


def test_a_dataset_of_files_is_not_asked_for_at_a_service(service):
    with pytest.raises(DeclarationError, match="tides comes from file: no service has it"):
        service.missing(tides(source=FileSource(path="tides/{partition}.csv")), [DAY])
