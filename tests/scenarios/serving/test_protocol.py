"""What callers may send, and how what they may not send is refused: through the gateway, over HTTP."""

from __future__ import annotations

import gzip
import json
from functools import partial

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

COLUMNS = {
    "carrier": "string?", "hour": "long?", "wet": "boolean?", "temp": "double?",
    "at": "datetime?", "seats": "long", "tail": "string",
}  # fmt: skip
ROW = {
    "carrier": "UA", "hour": 7, "wet": True, "temp": 61.5,
    "at": "2013-07-01T12:00:00Z", "seats": 150, "tail": "N1",
}  # fmt: skip
JSON = {"Content-Type": "application/json"}
CSV = {"Content-Type": "text/csv"}
# Without a time, so that each process of a test run collects the same bytes.
compress = partial(gzip.compress, mtime=0)
GZIP = JSON | {"Content-Encoding": "gzip"}


@pytest.fixture(scope="module")
def typed(plane):
    """Return the plane with a champion of `typed`, whose features are of every type."""
    plane.make("typed", 1, columns=COLUMNS)
    plane.settle("typed", champion=1)
    return plane


def post(plane, content: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{plane.uri}/models/typed/invocations", content=content, headers=headers, timeout=20)


def records(*rows, **more) -> bytes:
    return json.dumps({"dataframe_records": rows, **more}).encode()


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        *((records(ROW | {name: None}), JSON) for name, kind in COLUMNS.items() if kind.endswith("?")),
        (records({"seats": 150, "tail": "N1"}), JSON),
        (records(ROW | {"seats": 150.0, "hour": 7.0}), JSON),
        (records(ROW, params={"threshold": 0.5}), JSON),
        (records(ROW, params=None), JSON),
        (b"\xef\xbb\xbf" + records(ROW), JSON),
        (records(ROW), {"Content-Type": "application/json; charset=utf-8"}),
        (compress(records(ROW)), GZIP),
        (b"carrier,hour,wet,temp,at,seats,tail\nUA,7.0,true,61.5,2013-07-01,150,N1\n,,,,,150,\n", CSV),
        (b"\xef\xbb\xbfcarrier,seats,tail\nUA,150,N1\n", CSV),
        (compress(b"seats,tail\n150,N1\n"), CSV | {"Content-Encoding": "gzip"}),
    ],
)  # fmt: skip
def test_what_callers_may_send_is_answered(typed, content, headers) -> None:
    response = post(typed, content, headers)
    assert (response.status_code, set(response.json().get("predictions", ()))) == (200, {0.5}), response.text


@pytest.mark.parametrize(
    ("content", "headers", "status", "message"),
    [
        (records(ROW, ROW | {"at": "July 1, 2013"}), JSON, 400, "Column at, row 1: 'July 1, 2013' is not a"),
        (records(ROW, ROW | {"at": "0001-01-01"}), JSON, 400, "Column at, row 1"),
        (records(ROW, ROW | {"seats": None}), JSON, 400, "Column seats, row 1: None is missing"),
        (records(ROW | {"tail": None}), JSON, 400, "Column tail, row 0: None is missing"),
        (records(ROW | {"seats": 1.5}), JSON, 400, "Column seats, row 0: 1.5 is not of type long"),
        (records(ROW | {"temp": "warm"}), JSON, 400, "Column temp, row 0"),
        (records(ROW | {"wide": 1}), JSON, 400, "wide unknown"),
        (b"seats,tail\nmany,N1\n", CSV, 400, "Column seats, row 0: 'many' is not of type long"),
        (b"seats,tail\n1_5,N1\n", CSV, 400, "Column seats, row 0"),
        (records(ROW), GZIP, 400, "not gzip"),
        (compress(b" " * 3_000_000), GZIP, 413, "decompressed"),
        (records(*[{"seats": 1, "tail": ""}] * 10_001), JSON, 413, "at most 10000"),
        (records(ROW), JSON | {"Content-Encoding": "br"}, 415, "br is not supported"),
        (records(ROW), {"Content-Type": "application/xml"}, 415, "not supported"),
    ],
)
def test_what_callers_may_not_send_is_refused(typed, content, headers, status, message) -> None:
    response = post(typed, content, headers)
    assert response.status_code == status, response.text
    assert message in response.json()["message"]
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_the_gateway_gives_the_openapi_document(typed) -> None:
    response = httpx.get(f"{typed.uri}/models/typed/openapi.json", timeout=20)
    assert response.status_code == 200
    document = response.json()
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    assert set(document["components"]["schemas"]["Row"]["properties"]) == set(COLUMNS)


@pytest.mark.parametrize(
    ("method", "use_case", "status"), [("GET", "nothing", 404), ("POST", "typed", 405), ("GET", "empty", 503)]
)
def test_a_document_that_cannot_be_given_is_refused(typed, wait_for, method, use_case, status) -> None:
    typed.desire("empty", weight=0)
    url = f"{typed.uri}/models/{use_case}/openapi.json"
    wait_for(lambda: httpx.request(method, url, timeout=20).status_code == status)
