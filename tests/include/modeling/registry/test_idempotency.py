"""Killed attempts, concurrent attempts and lost responses, with a real MLflow server on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import mlflow
import pytest

from include.database.tables import connect
from include.errors import ServiceUnavailable
from include.modeling.registry import idempotency
from include.modeling.registry.registry import Registry
from tests.include.modeling.registry.version_lifecycle import count_objects, create_version

FORK = multiprocessing.get_context("fork")


def run_attempt(uri, url, use_case, folder, barrier=None):
    engine = connect(url)
    if barrier:
        barrier.wait()
    create_version(Registry(uri, engine), use_case, folder)


def test_concurrent_attempts_create_each_object_once(mlflow_server, database_url, use_case, packaged, client):
    barrier = FORK.Barrier(3)
    arguments = (mlflow_server, database_url, use_case, packaged, barrier)
    attempts = [FORK.Process(target=run_attempt, args=arguments) for _ in range(3)]
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join(200)
    assert [attempt.exitcode for attempt in attempts] == [0, 0, 0]
    assert count_objects(client, use_case) == (1, 1, 1)


def test_killed_attempts_create_each_object_once(mlflow_server, database_url, use_case, packaged, client):
    for milliseconds in range(20, 700, 60):
        attempt = FORK.Process(target=run_attempt, args=(mlflow_server, database_url, use_case, packaged))
        attempt.start()
        time.sleep(milliseconds / 1000)
        os.kill(attempt.pid, signal.SIGKILL)
        attempt.join(10)
    run_attempt(mlflow_server, database_url, use_case, packaged)
    assert count_objects(client, use_case) == (1, 1, 1)


@pytest.fixture
def lossy_proxy(mlflow_server):
    """Return a proxy of MLflow that executes requests to the paths in `lost`, but drops their responses."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            response = httpx.request(self.command, mlflow_server + self.path, content=body, headers=headers)
            server.requested.append(self.path)
            if any(self.path.endswith(path) for path in server.lost):
                self.connection.close()
                return
            self.send_response(response.status_code)
            self.send_header("Content-Type", response.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        do_GET = forward
        do_POST = forward
        do_PUT = forward
        do_PATCH = forward

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.lost = []
    server.requested = []
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
    server.server_close()


def test_a_lost_response_creates_no_duplicate(lossy_proxy, database, use_case, packaged, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    lossy_proxy.lost += ["runs/create", "logged-models", "model-versions/create"]
    registry = Registry(f"http://127.0.0.1:{lossy_proxy.server_port}", database)
    create_version(registry, use_case, packaged)
    assert count_objects(client, use_case) == (1, 1, 1)
    assert [path for path in lossy_proxy.requested if path.endswith(tuple(lossy_proxy.lost))] == [
        f"/api/2.0/mlflow/{path}" for path in lossy_proxy.lost
    ]


def test_an_unconfirmed_create_is_retried_later(registry, use_case, monkeypatch):
    monkeypatch.setattr(idempotency, "SETTLE_TIMEOUT_S", 0.2)
    unreachable = Registry("http://127.0.0.1:9")

    def create():
        idempotency.post(unreachable.uri, "runs/create", {})

    with pytest.raises(ServiceUnavailable, match="the run"):
        idempotency.get_or_create(lambda: None, create, "the run")


def test_a_refused_create_is_not_retried(mlflow_server):
    def create():
        idempotency.post(mlflow_server, "runs/create", {"experiment_id": "no such"})

    with pytest.raises(mlflow.exceptions.MlflowException, match="no such"):
        idempotency.get_or_create(lambda: None, create, "the run")
