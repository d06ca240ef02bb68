from __future__ import annotations

import json
import threading
import time
from concurrent.futures import Executor, Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock, create_autospec

import psutil
import pytest

from include.processes import end_processes
from include.serving.controller import processes
from include.serving.controller.instance import Instance, _error_in, is_ready
from include.serving.gateway.config import Server


def begin_nothing(use_case, version):
    return Future()


@pytest.fixture
def responder():
    """Return the port of a server that answers every request with a content that tests may change."""
    content = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, content
    server.shutdown()
    server.server_close()


def test_only_the_expected_version_is_ready(responder) -> None:
    port, content = responder
    content.update(name="delay", version=1)
    assert is_ready(Server("delay", 1, port))
    assert not is_ready(Server("delay", 2, port))
    assert not is_ready(Server("air_time", 1, port))


def test_a_server_that_cannot_be_reached_is_not_ready(free_port) -> None:
    assert not is_ready(Server("delay", 1, free_port))


def test_restarts_are_delayed_longer_after_each_failure(monkeypatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    instance = Instance(("delay", 1, 1), create_autospec(Executor), begin_nothing)
    pauses = []
    for _ in range(8):
        instance._on_failure("it failed")
        pauses.append(instance._next_action_at - 100)
    assert pauses == [0, 1, 2, 4, 8, 16, 30, 30]


def test_a_second_failure_requires_a_new_verification() -> None:
    instance = Instance(("delay", 1, 1), create_autospec(Executor), begin_nothing)
    instance._prepared = True
    instance._on_failure("it failed")
    assert instance._prepared
    instance._on_failure("it failed again")
    assert not instance._prepared


@pytest.fixture
def adopted():
    """Return an instance with a process that does nothing."""
    process = psutil.Popen(["sleep", "600"])
    instance = Instance(("delay", 1, 1), create_autospec(Executor), begin_nothing)
    instance.adopt(Server("delay", 1, 10_001), process)
    yield instance
    end_processes([process], timeout_s=0)


def test_a_process_that_runs_is_kept(adopted) -> None:
    process = adopted.process
    adopted.step(lambda: 10_001)
    assert adopted.process is process


def test_a_process_that_is_stopped_is_ended_at_once(adopted, wait_for, monkeypatch) -> None:
    monkeypatch.setattr(processes, "start_server", Mock(side_effect=OSError("none is started")))
    process = adopted.process
    process.suspend()
    wait_for(lambda: processes.is_stopped(process))
    adopted.step(lambda: 10_001)
    assert not process.is_running()
    assert adopted.process is None


@pytest.mark.parametrize(
    ("line", "error"), [('{"error": "no certificate"}', "no certificate"), ("Killed", "Killed"), ("[]", "[]")]
)
def test_the_error_of_a_log_line_is_found(line, error) -> None:
    assert _error_in(line) == error
