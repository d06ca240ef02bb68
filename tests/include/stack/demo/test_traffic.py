"""Callers against a small server that keeps the requests it gets."""

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
    """Answers every request with `status`, as the version `version`, and keeps the requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.version = 7
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, self.headers["X-Entity-Id"], body))
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


def test_request_carries_a_row_and_names_its_entity(gateway):
    with call(gateway.url):
        wait_until(lambda: len(gateway.requests) >= 10, 20, "ten requests")
    assert {path for path, *_ in gateway.requests} == {"/models/late/invocations"}
    sent = {(entity, json.dumps(body)) for _, entity, body in gateway.requests}
    assert sent == {
        (row["flight_id"], json.dumps({"dataframe_records": [{"distance": row["distance"]}]})) for row in ROWS
    }


def test_every_request_is_counted_with_its_version_and_latency(gateway):
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.stats.sent >= 10, 20, "ten answers")
    stats = traffic.stats
    assert stats.statuses == {200: stats.sent}
    assert stats.versions == {7: stats.sent}
    assert stats.sent == len(stats.latencies) == len(gateway.requests)
    assert stats.failed == 0


def test_response_other_than_200_is_a_failure_without_a_version(gateway):
    gateway.status = 503
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.stats.sent >= 5, 20, "five answers")
    assert traffic.stats.failed == traffic.stats.sent == traffic.stats.statuses[503]
    assert (traffic.stats.versions, traffic.stats.latencies) == ({}, [])


def test_unreachable_gateway_is_counted_and_called_again():
    with call(f"http://127.0.0.1:{free_ports(1)[0]}") as traffic:
        wait_until(lambda: traffic.stats.failed >= 10, 20, "ten failures")
    assert traffic.stats.errors == {"ConnectError": traffic.stats.sent}


def test_callers_stop_at_the_end_of_the_block(gateway):
    with call(gateway.url) as traffic:
        wait_until(lambda: traffic.stats.sent > 0, 20, "an answer")
    after = len(gateway.requests)
    time.sleep(0.2)
    assert len(gateway.requests) == after
    assert not traffic._thread.is_alive()


def test_callers_keep_to_the_rate(gateway):
    started_at = time.monotonic()
    with call(gateway.url, rate=40.0) as traffic:
        wait_until(lambda: traffic.stats.sent >= 20, 30, "twenty answers")
        seconds = time.monotonic() - started_at
        sent = traffic.stats.sent
    assert sent <= 40 * seconds + 8 + 8  # the first of each caller, and those under way


@pytest.mark.parametrize(("share", "latency"), [(0, 1.0), (0.5, 3.0), (0.99, 4.0), (1, 4.0)])
def test_quantile_is_one_of_the_latencies(share, latency):
    assert TrafficStats(latencies=[4.0, 1.0, 3.0, 2.0]).quantile(share) == latency


def test_quantile_without_responses_is_0():
    assert TrafficStats().quantile(0.5) == 0
