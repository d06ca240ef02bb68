from __future__ import annotations

import json
import re
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from include.release import smoke_test

GOLDEN = {
    "dataframe_split": {"columns": ["x"], "data": [[1.0], [2.0], [3.0]]},
    "predictions": [0.1, 0.2, 0.3],
}


def run_smoke_test(url, use_case, golden, *, requests=2, **options):
    address = f"{url}/models/{use_case}/invocations"
    return smoke_test.run_smoke_test(address, golden, requests=requests, rate=1_000, **options)


def respond_correctly(values):
    return 200, json.dumps({"predictions": [value / 10 for value in values]})


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Send a load without pauses, whose rate is not judged."""
    monkeypatch.setattr(smoke_test, "MIN_LOAD_S", 0.0)
    monkeypatch.setattr(smoke_test, "SUSTAINED_SHARE", 0.0)


@pytest.fixture
def serve():
    """Return a function that starts a model server which answers with `answer(values)`."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_split"]
                if self.path == "/models/delay/invocations":
                    status, body = answer([row[0] for row in rows["data"]])
                else:
                    status = 404
                    body = "no such path"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_version_that_predicts_as_in_evaluation_passes(serve):
    result = run_smoke_test(serve(respond_correctly), "delay", GOLDEN, requests=20)
    assert result.passed, result.reason
    assert (result.figures["rows"], result.figures["requests"], result.figures["failures"]) == (3, 20, 0)
    assert 0 < result.figures["latency_p50"] <= result.figures["latency_p99"]


@pytest.mark.parametrize(("tolerance", "passes"), [({}, False), ({"tolerance": 1e-5}, True)])
def test_tolerance_of_the_golden_rows_is_used(serve, tolerance, passes):
    address = serve(lambda values: respond_correctly([value + 1e-6 for value in values]))
    assert run_smoke_test(address, "delay", GOLDEN | tolerance, requests=2).passed is passes


def late_failure():
    calls = []

    def answer(values):
        calls.append(values)
        return (500, "out of memory") if len(calls) == 10 else respond_correctly(values)

    return answer


def fail_on_single_rows(values):
    return respond_correctly(values if len(values) > 1 else [9.0])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            lambda values: respond_correctly([*values[:2], 3.0001]),
            "1 of 3 golden rows .* row 2 as 0.30001 instead of 0.3",
        ),
        (lambda values: respond_correctly(values[:-1]), "2 predictions for 3 rows"),
        (lambda values: (200, '{"predictions": [NaN, NaN, NaN]}'), "3 of 3 golden rows"),
        (lambda values: (200, '{"predictions": ["late", "late", "late"]}'), "no list of numbers"),
        (lambda values: (200, '{"answers": []}'), "no list of numbers"),
        (lambda values: (200, "<html>"), "no list of numbers"),
        (lambda values: (503, "starting"), "answered 503: starting"),
        (late_failure(), "1 of 28 requests under load failed, the first with: .*500: out of memory"),
        (fail_on_single_rows, "28 of 28 requests under load failed"),
    ],
)
def test_version_that_responds_wrongly_fails_with_the_reason(serve, answer, reason):
    result = run_smoke_test(serve(answer), "delay", GOLDEN, requests=20)
    assert not result.passed
    assert re.search(reason, result.reason), result.reason


def test_tolerance_argument_is_used(serve):
    address = serve(lambda values: respond_correctly([value * 1.001 for value in values]))
    assert run_smoke_test(address, "delay", GOLDEN, requests=2, tolerance=0.01).passed


def test_version_slower_than_the_limit_fails(serve):
    address = serve(respond_correctly)
    assert run_smoke_test(address, "delay", GOLDEN, requests=10, maximum_p99=timedelta(hours=1)).passed
    result = run_smoke_test(address, "delay", GOLDEN, requests=10, maximum_p99=timedelta(microseconds=1))
    assert "10 of 10 requests took longer than 0.001 ms" in result.reason
    assert not result.passed


@pytest.mark.parametrize(
    ("slow", "passed"), [(range(8), True), ((20, 30, 40), True), ((20, 30, 40, 50), False)]
)
def test_few_slow_requests_and_a_slow_warm_up_pass(slow, passed):
    timings = [(900.0 if number in slow else 5.0, None) for number in range(58)]
    limit = timedelta(milliseconds=250)
    result = smoke_test._summarise_load(timings, n_rows=3, maximum_p99=limit, rates=(20, 20))
    assert result.passed is passed, result.reason


@pytest.mark.parametrize(("sustained", "passed"), [(15.9, False), (16.0, True)])
def test_version_that_does_not_sustain_the_rate_fails(monkeypatch, sustained, passed):
    monkeypatch.setattr(smoke_test, "SUSTAINED_SHARE", 0.8)
    timings = [(5.0, None)] * 60
    result = smoke_test._summarise_load(timings, n_rows=3, maximum_p99=None, rates=(20, sustained))
    assert result.passed is passed
    assert passed or "15.9 of 20 requests per second were answered, and 80% must be" in result.reason


@pytest.mark.parametrize(
    ("requests", "rate", "expected"),
    [(50, 20, (60, 20)), (50, 100, (300, 100)), (500, 20, (500, 50)), (2, 0.1, (2, 0.2))],
    ids=["default", "busy", "blue_green", "rare"],
)
def test_load_lasts_3_to_10_seconds(monkeypatch, requests, rate, expected):
    monkeypatch.setattr(smoke_test, "MIN_LOAD_S", 3.0)
    load = smoke_test._Load.of(requests, rate)
    assert (load.requests, load.rate) == expected


def test_requests_are_sent_at_their_moments(serve, monkeypatch):
    pauses = []
    clock = SimpleNamespace(perf_counter=time.perf_counter, sleep=pauses.append)
    # Other threads of the process go on sleeping.
    monkeypatch.setattr(smoke_test, "time", clock)
    assert run_smoke_test(serve(respond_correctly), "delay", GOLDEN, requests=20).passed
    assert len(pauses) == 20


def test_unreachable_server_fails_with_its_address(free_port):
    result = run_smoke_test(f"http://127.0.0.1:{free_port}", "delay", GOLDEN)
    assert not result.passed
    assert f"127.0.0.1:{free_port}" in result.reason


def test_version_without_golden_rows_fails():
    result = run_smoke_test(
        "http://127.0.0.1:1", "delay", {"dataframe_split": {"columns": []}, "predictions": []}
    )
    assert (result.passed, result.reason) == (False, "the certificate has no golden rows to test with")


SHARES = {**GOLDEN, "predictions": [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]}


def shares(values, *, off=0.0):
    return 200, json.dumps({"predictions": [[value / 10, 1 - value / 10 + off] for value in values]})


def test_probabilities_of_each_class_are_compared(serve):
    assert run_smoke_test(serve(shares), "delay", SHARES).passed
    wrong = run_smoke_test(serve(lambda values: shares(values, off=0.01)), "delay", SHARES)
    assert "row 0 as 0.1, 0.91 instead of 0.1, 0.9" in wrong.reason
    assert not run_smoke_test(serve(respond_correctly), "delay", SHARES).passed
