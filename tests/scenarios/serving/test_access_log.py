"""The access log under every way of failing: callers, HAProxy and the table agree by request id."""

from __future__ import annotations

import os
import re
import signal
import socket
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from include.settings import settings
from tests.small_models import ROW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scenarios.serving.conftest import Plane

TRACE = "0af7651916cd43dd8448eb211c80319c"


class Caller:
    """Sends requests, each with an id of its own, and keeps what it got by that id."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.got: dict[str, tuple[int, int | None]] = {}

    def ask(self, use_case: str = "delay", **body: Any) -> httpx.Response:
        request_id = uuid.uuid4().hex
        response = self.plane.ask(use_case, headers={"X-Request-Id": request_id}, **body)
        self.keep(request_id, response)
        return response

    def keep(self, request_id: str, response: httpx.Response) -> None:
        version = response.json()["model"]["version"] if response.is_success else None
        self.got[request_id] = (response.status_code, version)

    def rows(self, wait_for: Callable[..., None]) -> dict[str, dict[str, Any]]:
        """Return the rows of the access log by request id, once there is one of each request."""

        def read() -> list[dict[str, Any]]:
            ids = ",".join(f"'{request_id}'" for request_id in self.got)
            return self.plane.logged(f"request_id IN ({ids})", "access_log")

        wait_for(lambda: len(read()) >= len(self.got), 30, self.plane.logs)
        rows = read()
        assert len(rows) == len(self.got)
        by_id = {row["request_id"]: row for row in rows}
        for request_id, (status, version) in self.got.items():
            row = by_id[request_id]
            assert row["status"] == status
            if version is not None:
                assert row["version"] == version
        return by_id


def test_the_attempts_of_a_failing_challenger_are_logged(served, wait_for) -> None:
    served.settle(weight=10_000)
    caller = Caller(served)
    for mood in ("good", "fail", "hang", "nan"):
        served.make.mood(2).write_text(mood)
        for _ in range(3):
            assert caller.ask().status_code == 200
    rows = list(caller.rows(wait_for).values())
    good = rows[:3]
    failed = rows[3:]
    assert {(row["first_version"], row["version"], row["retries"]) for row in good} == {(2, 2, 0)}
    assert {(row["first_version"], row["version"], row["retries"]) for row in failed} == {(2, 1, 1)}
    assert all(row["redispatched"] and row["assigned_version"] == 2 and row["eligible"] for row in failed)
    # The caller waited for both attempts of the request that hung.
    assert all(row["latency_ms"] > 500 for row in rows[6:9])


def test_a_killed_challenger_is_the_first_attempt(served, wait_for) -> None:
    served.settle(weight=10_000)
    caller = Caller(served)
    os.kill(served.controller.pid, signal.SIGSTOP)
    try:
        served.server(2).kill()
        for _ in range(5):
            assert caller.ask().json()["model"]["version"] == 1
    finally:
        os.kill(served.controller.pid, signal.SIGCONT)
    rows = caller.rows(wait_for).values()
    # Once its health check has failed, it is not asked any more.
    assert {(row["assigned_version"], row["version"], row["status"]) for row in rows} == {(2, 1, 200)}
    assert 2 in {row["first_version"] for row in rows}


def test_what_haproxy_answers_itself_is_logged(served, wait_for) -> None:
    caller = Caller(served)
    url = f"{served.uri}/models/delay/invocations"
    huge = uuid.uuid4().hex
    caller.keep(huge, httpx.post(url, content=b" " * 3_000_000, headers={"X-Request-Id": huge}, timeout=20))
    served.desire("waiting", weight=0)
    wait_for(lambda: served.ask("waiting").status_code == 503)
    for use_case, status in (("nothing", 404), ("waiting", 503)):
        assert caller.ask(use_case).status_code == status
    assert caller.ask(wrong=1).status_code == 400
    rows = caller.rows(wait_for)
    assert caller.got[huge] == (413, None)
    first_versions = [row["first_version"] for row in rows.values()]
    assert sorted(first_versions, key=str) == [1, None, None, None]
    assert rows[huge]["bytes_in"] > 100_000


def test_a_request_that_no_parser_accepts_is_logged(served, wait_for) -> None:
    with served.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM access_log")
    with socket.create_connection(("127.0.0.1", settings().gateway_port)) as connection:
        connection.sendall(b"NO HTTP\r\n\r\n")
        assert b"400" in connection.recv(10_000)
    wait_for(lambda: served.logged("status = 400", "access_log"))
    [row] = served.logged("status = 400", "access_log")
    assert (row["use_case"], row["termination"], row["first_version"]) == ("", "PR", None)


def test_a_champion_that_times_out_is_logged(served, wait_for) -> None:
    caller = Caller(served)
    served.make.mood(1).write_text("hang")
    assert caller.ask().status_code == 504
    [row] = caller.rows(wait_for).values()
    # The model server answers at its deadline, before HAProxy's own time-out.
    assert (row["version"], row["termination"], row["status"]) == (1, "--", 504)
    assert row["latency_ms"] > 1_900


def test_a_caller_that_leaves_is_logged(served, wait_for) -> None:
    served.make.mood(1).write_text("hang")
    url = f"{served.uri}/models/delay/invocations"
    request_id = uuid.uuid4().hex
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json={"dataframe_records": [ROW]}, headers={"X-Request-Id": request_id}, timeout=0.3)
    served.make.mood(1).unlink()
    wait_for(lambda: served.logged(f"request_id = '{request_id}'", "access_log"), 15)
    [row] = served.logged(f"request_id = '{request_id}'", "access_log")
    assert (row["version"], row["latency_ms"] > 300) == (1, True)


def test_traffic_is_logged_once_through_kills_and_reloads(served, wait_for) -> None:
    served.settle(weight=5_000)
    with served.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM access_log")
    with served.traffic() as traffic:
        traffic.wait_for_responses(100)
        served.server(1).kill()
        traffic.wait_for_responses(100)
        # Entries wait in the pipe until the next collector reads them.
        served.collector.kill()
        served.collector.wait()
        traffic.wait_for_responses(50)
        served.start_collector()
        served.settle(challenger=None, weight=0)
        traffic.wait_for_responses(100)
        served.settle(challenger=2, weight=5_000)
        traffic.wait_for_responses(100)
    total = traffic.statuses.total()
    wait_for(lambda: len(served.logged(table="access_log")) >= total, 30, served.logs)
    rows = served.logged(table="access_log")
    assert len(rows) == total == len({row["request_id"] for row in rows})
    assert Counter(row["version"] for row in rows if row["status"] == 200) == traffic.versions
    assert Counter(row["status"] for row in rows) == traffic.statuses


def test_entries_wait_while_the_database_hangs(served, wait_for) -> None:
    caller = Caller(served)
    postmaster = psutil.Process(served.postmaster())
    paused = [postmaster, *postmaster.children(recursive=True)]
    for process in paused:
        process.suspend()
    try:
        for _ in range(20):
            assert caller.ask().status_code == 200
    finally:
        for process in paused:
            process.resume()
    assert {row["version"] for row in caller.rows(wait_for).values()} == {1}


def test_metrics_count_what_callers_got(served, wait_for) -> None:
    def counted(name: str, **labels: str) -> float:
        total = 0.0
        for line in httpx.get(f"{served.uri}/metrics").text.splitlines():
            parts = [f'{label}="{value}"' for label, value in labels.items()]
            if line.startswith(f"{name}{{") and all(part in line for part in parts):
                total += float(line.split()[-1])
        return total

    served.settle(weight=10_000)
    failures = counted("airworthy_gateway_failed_first_attempts_total", version="2")
    successes = counted("airworthy_gateway_requests_total", version="1", status="200")
    served.make.mood(2).write_text("fail")
    for _ in range(3):
        served.ask()
    wait_for(
        lambda: counted("airworthy_gateway_failed_first_attempts_total", version="2") == failures + 3, 10
    )
    assert counted("airworthy_gateway_requests_total", version="1", status="200") == successes + 3
    text = httpx.get(f"{served.uri}/metrics").text
    assert text.count("# TYPE airworthy_log_records_written_total ") == 1
    assert re.search(r"airworthy_gateway_log_lines_dropped 0\.0", text)


def test_a_trace_of_the_caller_goes_on(served, wait_for) -> None:
    caller = Caller(served)
    span = "00f067aa0ba902b7"
    headers = {"X-Request-Id": "traced", "traceparent": f"00-{TRACE}-{span}-01"}
    caller.keep("traced", served.ask(headers=headers))
    caller.keep("untraced", served.ask(headers={"X-Request-Id": "untraced", "traceparent": "00-zz-1-01"}))
    rows = caller.rows(wait_for)
    assert rows["traced"]["trace_id"] == TRACE
    assert rows["untraced"]["trace_id"] == rows["untraced"]["id"].hex


def test_a_model_server_answers_nobody_but_the_gateway(served) -> None:
    address = served.live()[1]["servers"]["1"]["address"]
    body = {"dataframe_records": [ROW]}
    for headers in ({}, {"X-Airworthy-Route": "champion"}, {"X-Airworthy-Secret": "guessed"}):
        assert httpx.post(f"http://{address}/invocations", json=body, headers=headers).status_code == 403
    assert httpx.get(f"http://{address}/metrics").status_code == 403
    assert served.ask(headers={"X-Airworthy-Secret": "guessed"}).status_code == 200
    config = served.home / "haproxy" / "haproxy.cfg"
    assert config.stat().st_mode & 0o077 == 0
    assert settings().gateway_secret in config.read_text()
    assert settings().gateway_secret not in served.logs()
