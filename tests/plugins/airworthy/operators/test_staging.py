"""StageModelOperator with a gateway on localhost."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pandas as pd
import pytest

from airworthy.operators.staging import StageModelOperator
from include.errors import RolloutFailed
from include.modeling.registration import versions
from include.modeling.registry import load_version
from include.release import smoke_test
from include.serving.gateway.callers import list_tokens
from include.settings import settings
from tests.plugins.airworthy.operators.rollout_fixtures import certified, defer_soon, lease, second
from tests.plugins.airworthy.operators.rollout_steps import (
    NOT_LIVE,
    deferred,
)

__all__ = ["certified", "defer_soon", "lease", "second"]
pytestmark = pytest.mark.usefixtures("defer_soon")


def stage(use_case, lease):
    return StageModelOperator(task_id="stage", use_case=use_case.name, lease=lease)


LIVE = {"live": True, "reason": "", "address": "127.0.0.1:1"}


@pytest.fixture
def gateway(monkeypatch, champion, registry, tmp_path):
    """
    Return a function that starts a gateway which answers as version 2, `factor` times for golden rows and
    `elsewhere` times for others; it returns the token and the version of each request.
    """
    trusted = settings().trusted_keys
    loaded = load_version.load_version(registry, champion.name, 2, folder=tmp_path / "model", trusted=trusted)
    rows = versions.golden_of_version(registry, champion.name, 2, trusted=trusted)["dataframe_split"]
    golden = {json.dumps(row) for row in rows["data"]}
    started = []
    headers = []

    def start(factor=1.0, elsewhere=1.0):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                split = json.loads(self.rfile.read(int(self.headers["Content-Length"]))).get(
                    "dataframe_split"
                )
                headers.append((self.headers["Authorization"], self.headers["X-Airworthy-Stage"]))
                body = json.dumps({"predictions": predict(split) if split else []}).encode()
                self.send_response(200 if split else 400)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        def predict(split):
            frame = pd.DataFrame(split["data"], columns=split["columns"])
            factors = [factor if json.dumps(row) in golden else elsewhere for row in split["data"]]
            return list(loaded.model.predict(frame) * factors)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        connection = {"conn_type": "http", "host": f"http://127.0.0.1:{server.server_port}"}
        monkeypatch.setenv("AIRFLOW_CONN_GATEWAY_DEFAULT", json.dumps(connection))
        return headers

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    """Send a load without pauses; its rate and latency are those of this process, and are not judged."""
    monkeypatch.setattr(smoke_test, "MIN_LOAD_S", 0.0)
    monkeypatch.setattr(smoke_test, "SUSTAINED_SHARE", 0.0)
    monkeypatch.setattr(smoke_test, "_is_more_than_chance", lambda *_: False)


def test_staging_waits_in_the_triggerer(champion, lease, second):
    waiting = deferred(stage(champion, lease), second)
    assert waiting.method_name == "smoke_test"
    assert (waiting.trigger.version, waiting.trigger.stage, waiting.trigger.timeout) == (2, None, 180)


def test_server_that_is_ready_is_tested_without_deferring(champion, flown, lease, second, gateway, follow):
    gateway()
    follow(champion.name, v2="127.0.0.1:1")
    assert stage(champion, lease).execute(second)["failures"] == 0


def test_candidate_that_answers_as_evaluated_passes(champion, flown, lease, second, gateway, database):
    headers = gateway()
    figures = stage(champion, lease).smoke_test(second, dict(LIVE))
    assert (figures["rows"], figures["failures"]) == (50, 0)
    assert figures["test_rows"] > 50
    assert figures["served_log_loss"] > 0
    ((token, version),) = set(headers)
    assert (token.startswith("Bearer airworthy_"), version) == (True, "2")
    with database.connect() as connection:
        assert [token.revoked_at is None for token in list_tokens(connection)] == [False]


@pytest.mark.parametrize(
    ("factors", "reason"),
    [
        ({"factor": 0.5}, "smoke test: .* golden rows are predicted differently"),
        ({"elsewhere": 0.5}, "test on the rows of its evaluation: .* in the evaluation it was .* tolerance"),
    ],
    ids=["golden rows", "test rows"],
)
def test_candidate_with_other_answers_fails(champion, flown, lease, second, gateway, factors, reason):
    gateway(**factors)
    with pytest.raises(RolloutFailed, match=reason):
        stage(champion, lease).smoke_test(second, dict(LIVE))


@pytest.fixture
def refitted(monkeypatch):
    """Let the certificate say that the version was fitted again after an evaluation with other figures."""
    verified = StageModelOperator.verified

    def with_refit(operator, version):
        changes = {"refit": {"rows": 9}, "metrics": {"log_loss": 9.0}}
        return verified(operator, version).model_copy(update=changes)

    monkeypatch.setattr(StageModelOperator, "verified", with_refit)


@pytest.mark.usefixtures("refitted")
def test_refitted_version_is_compared_with_its_package(champion, flown, lease, second, gateway):
    gateway()
    figures = stage(champion, lease).smoke_test(second, dict(LIVE))
    assert figures["test_rows"] > 50
    assert 0 < figures["served_log_loss"] < 9


@pytest.mark.usefixtures("refitted")
def test_refitted_version_with_other_answers_fails(champion, flown, lease, second, gateway):
    gateway(elsewhere=0.5)
    with pytest.raises(RolloutFailed, match=r"log_loss of the served answers is .* by its package it was"):
        stage(champion, lease).smoke_test(second, dict(LIVE))


def test_rows_that_were_erased_are_not_sent(champion, lake, lease, second, gateway):
    gateway(elsewhere=0.5)
    figures = stage(champion, lease).smoke_test(second, dict(LIVE))
    assert "test_rows" not in figures


def test_candidate_that_does_not_start_fails(champion, lease, second):
    with pytest.raises(RolloutFailed, match="cannot be served: the server of version 2 died"):
        stage(champion, lease).smoke_test(second, dict(NOT_LIVE))
