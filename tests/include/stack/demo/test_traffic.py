"""Callers against a tiny server that counts what it is asked."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.stack.demo.traffic import Traffic, TrafficStats
from tests.conftest import free_ports, wait_until

ROWS = [{"flight_id": f"f{number}", "distance": float(number)} for number in range(3)]


class Gateway(ThreadingHTTPServer):
    """Answers every request with `status`, as the version `version`; keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.version = 200, 7
        self.asked = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["X-Entity-Id"], body))
        answer = json.dumps({"predictions": [0.5], "model": {"version": str(self.server.version)}}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway():
    server = Gateway()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def call(url, rate=200.0):
    return Traffic(url, "late", ROWS, entity="flight_id", rate=rate)


def test_each_request_carries_a_row_and_names_its_entity(gateway):
    with call(gateway.url):
        wait_until(lambda: len(gateway.asked) >= 10, 20, "ten requests")
    assert {path for path, *_ in gateway.asked} == {"/models/late/invocations"}
    sent = {(entity, json.dumps(body)) for _, entity, body in gateway.asked}
    assert sent == {
        (row["flight_id"], json.dumps({"dataframe_records": [{"distance": row["distance"]}]})) for row in ROWS
    }


def test_every_request_is_counted_with_its_version_and_latency(gateway):
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.tally.sent >= 10, 20, "ten answers")
    tally = traffic.tally
    assert tally.statuses == {200: tally.sent}
    assert tally.versions == {7: tally.sent}
    assert tally.sent == len(tally.latencies) == len(gateway.asked)
    assert tally.failed == 0


def test_an_answer_that_is_not_200_is_a_failure_and_has_no_version(gateway):
    gateway.status = 503
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.tally.sent >= 5, 20, "five answers")
    assert traffic.tally.failed == traffic.tally.sent == traffic.tally.statuses[503]
    assert (traffic.tally.versions, traffic.tally.latencies) == ({}, [])


def test_a_gateway_that_is_away_is_counted_and_called_again():
    with call(f"http://127.0.0.1:{free_ports(1)[0]}") as traffic:
        wait_until(lambda: traffic.tally.failed >= 10, 20, "ten failures")
    assert traffic.tally.errors == {"ConnectError": traffic.tally.sent}


def test_when_the_block_ends_so_do_the_calls(gateway):
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.tally.sent > 0, 20, "an answer")
    after = len(gateway.asked)
    time.sleep(0.2)
    assert len(gateway.asked) == after
    assert not traffic._thread.is_alive()


def test_it_does_not_call_faster_than_it_was_told(gateway):
    began = time.monotonic()
    with call(gateway.url, rate=40.0) as traffic:
        wait_until(lambda: traffic.tally.sent >= 20, 30, "twenty answers")
        seconds = time.monotonic() - began
        sent = traffic.tally.sent
    assert sent <= 40 * seconds + 8 + 8  # the first of each caller, and those that were just ending


@pytest.mark.parametrize(("share", "latency"), [(0, 1.0), (0.5, 3.0), (0.99, 4.0), (1, 4.0)])
def test_a_quantile_is_a_latency_that_was_seen(share, latency):
    assert TrafficStats(latencies=[4.0, 1.0, 3.0, 2.0]).quantile(share) == latency


def test_without_answers_there_is_no_latency():
    assert TrafficStats().quantile(0.5) == 0
