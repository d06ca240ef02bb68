"""Whatever is killed, lost or side by side: one of each, in a real MLflow server on PostgreSQL."""

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
from tests.include.modeling.lives import made, whole_life

FORK = multiprocessing.get_context("fork")


def live(uri, url, use_case, folder, barrier=None):
    engine = connect(url)
    if barrier:
        barrier.wait()
    whole_life(Registry(uri, engine), use_case, folder)


def test_attempts_side_by_side_make_one_of_each(mlflow_server, database_url, use_case, packaged, client):
    barrier = FORK.Barrier(3)
    given = (mlflow_server, database_url, use_case, packaged, barrier)
    attempts = [FORK.Process(target=live, args=given) for _ in range(3)]
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join(200)
    assert [attempt.exitcode for attempt in attempts] == [0, 0, 0]
    assert made(client, use_case) == (1, 1, 1)


def test_attempts_killed_anywhere_make_one_of_each(mlflow_server, database_url, use_case, packaged, client):
    for milliseconds in range(20, 700, 60):
        attempt = FORK.Process(target=live, args=(mlflow_server, database_url, use_case, packaged))
        attempt.start()
        time.sleep(milliseconds / 1000)
        os.kill(attempt.pid, signal.SIGKILL)
        attempt.join(10)
    live(mlflow_server, database_url, use_case, packaged)
    assert made(client, use_case) == (1, 1, 1)


@pytest.fixture
def losing(mlflow_server):
    """Return a proxy before MLflow that loses the answers of the paths in `.lost`, once they are done."""

    class Proxy(BaseHTTPRequestHandler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            answer = httpx.request(self.command, mlflow_server + self.path, content=body, headers=headers)
            server.asked.append(self.path)
            if any(self.path.endswith(path) for path in server.lost):
                self.connection.close()
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PUT = do_PATCH = forward

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    server.lost, server.asked, server.handle_error = [], [], lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_lost_answer_makes_nothing_twice(losing, database, use_case, packaged, client, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    losing.lost += ["runs/create", "logged-models", "model-versions/create"]
    registry = Registry(f"http://127.0.0.1:{losing.server_port}", database)
    whole_life(registry, use_case, packaged)
    assert made(client, use_case) == (1, 1, 1)
    assert [path for path in losing.asked if path.endswith(tuple(losing.lost))] == [
        f"/api/2.0/mlflow/{path}" for path in losing.lost
    ]


def test_what_cannot_be_confirmed_is_tried_again_later(registry, use_case, monkeypatch):
    monkeypatch.setattr(idempotency, "SETTLE_SECONDS", 0.2)
    away = Registry("http://127.0.0.1:9")

    def create():
        idempotency.post(away.uri, "runs/create", {})

    with pytest.raises(ServiceUnavailable, match="the run"):
        idempotency.get_or_create(lambda: None, create, "the run")


def test_a_refused_create_is_no_accident(mlflow_server):
    def create():
        idempotency.post(mlflow_server, "runs/create", {"experiment_id": "no such"})

    with pytest.raises(mlflow.exceptions.MlflowException, match="no such"):
        idempotency.get_or_create(lambda: None, create, "the run")
