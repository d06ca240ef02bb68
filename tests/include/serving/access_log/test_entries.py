from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from include.pseudonyms import pseudonym
from include.serving.access_log.entries import BadLineError, parse_entry

ENTRY = {
    "id": "6bf28548-afc4-4edf-9dfb-0375cd401b7e", "request_id": "r1", "trace_id": "0af7", "use_case": "delay",
    "endpoint": "invocations", "caller": "-", "client": "127.0.0.1", "received_us": "1795992905226505",
    "accepted_ms": "1795992905226", "entity": "-", "route": "delay.v1|delay.v2.over.v1|2500", "eligible": "1",
    "backend": "delay.v2.over.v1", "server": "challenger1", "retries": "0", "termination": "--",
    "status": 200, "latency_us": "1477", "queue_ms": 0, "connect_ms": 0, "response_ms": 1, "total_ms": 2,
    "bytes_in": 104, "bytes_out": 119,
}  # fmt: skip


def parse(**changes: object) -> dict[str, object]:
    return parse_entry(json.dumps(ENTRY | changes).encode(), "key")


def test_an_entry_has_route_times_and_identity() -> None:
    row = parse(entity="N123")
    assert datetime.fromisoformat(str(row["received_at"])) == datetime(2026, 11, 29, 22, 55, 5, 226505, UTC)
    assert (row["champion"], row["challenger"], row["assigned_version"], row["eligible"]) == (1, 2, 2, True)
    assert (row["latency_ms"], row["response_ms"], row["caller"]) == (1.477, 1, "")
    assert row["entity_hash"] == pseudonym("N123", "key")


@pytest.mark.parametrize(
    ("backend", "server", "retries", "first", "last"),
    [
        ("delay.v2.over.v1", "challenger", "0", 2, 2),
        ("delay.v2.over.v1", "champion1", "+1", 2, 1),
        ("delay.v2.over.v1", "champion2", "+3", 2, 1),
        ("delay.v2.over.v1", "challenger", "+2", 2, 2),
        # The challenger was marked as down when the request came,
        ("delay.v2.over.v1", "champion1", "0", 1, 1),
        ("delay.v2.over.v1", "champion1", "2", 1, 1),
        # and was up again when the champion failed.
        ("delay.v2.over.v1", "challenger", "+1", 1, 2),
        ("delay.v2.over.v1", "<NOSRV>", "+1", 2, None),
        ("delay.v2.over.v1", "<NOSRV>", "0", None, None),
        ("delay.v1", "champion1", "0", 1, 1),
        ("delay.v1", "again", "+1", 1, 1),
        ("gateway", "<NOSRV>", "0", None, None),
    ],
)
def test_first_and_last_version_are_those_of_the_attempts(
    backend: str, server: str, retries: str, first: int | None, last: int | None
) -> None:
    row = parse(backend=backend, server=server, retries=retries)
    assert (row["first_version"], row["version"]) == (first, last)
    assert (row["retries"], row["redispatched"]) == (int(retries), "+" in retries)


def test_a_request_that_could_not_be_read_has_a_row() -> None:
    texts = [
        "id",
        "request_id",
        "trace_id",
        "use_case",
        "endpoint",
        "received_us",
        "route",
        "eligible",
        "latency_us",
    ]
    unset = dict.fromkeys(texts, "-")
    row = parse(**unset, backend="gateway", server="<NOSRV>", status=400, termination="PR", total_ms=-1)
    assert row["id"] == row["request_id"]
    assert (row["use_case"], row["champion"], row["eligible"], row["total_ms"]) == ("", None, False, None)
    assert datetime.fromisoformat(str(row["received_at"])) == datetime(2026, 11, 29, 22, 55, 5, 226000, UTC)


@pytest.mark.parametrize("route", ["none|none|0", "retired|none|0"])
def test_a_route_without_versions_has_none(route: str) -> None:
    row = parse(route=route, backend="gateway", server="<NOSRV>")
    assert (row["champion"], row["challenger"], row["assigned_version"]) == (None, None, None)


@pytest.mark.parametrize("line", [b'{"id":"6bf2', b"", b"[]", b"{}"])
def test_an_incomplete_line_is_refused(line: bytes) -> None:
    with pytest.raises(BadLineError):
        parse_entry(line, "key")
