"""StageModelOperator with a model server on localhost."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airworthy.operators.staging import StageModelOperator
from include.errors import RolloutFailed
from include.modeling.registration import versions
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


@pytest.fixture
def server():
    """Return a function that starts a server with these predictions, by row as JSON."""
    started = []

    def start(predictions, columns):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                rows = [json.dumps(row) for row in json.loads(body)["dataframe_split"]["data"]]
                body = json.dumps({"predictions": [predictions[row] for row in rows]}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def golden(champion, registry):
    """Return the predictions for the golden rows of version 2, by row as JSON."""
    rows = versions.golden_of_version(registry, champion.name, 2, trusted=settings().trusted_keys)
    keys = [json.dumps(row) for row in rows["dataframe_split"]["data"]]
    return dict(zip(keys, rows["predictions"], strict=True))


def test_staging_waits_in_the_triggerer(champion, lease, second):
    waiting = deferred(stage(champion, lease), second)
    assert waiting.method_name == "smoke_test"
    assert (waiting.trigger.version, waiting.trigger.stage, waiting.trigger.timeout) == (2, None, 180)


def test_server_that_is_ready_is_tested_without_deferring(champion, lease, second, server, golden, follow):
    follow(champion.name, v2=server(golden, champion.features))
    assert stage(champion, lease).execute(second)["failures"] == 0


def test_candidate_with_certified_predictions_passes(champion, lease, second, server, golden):
    event = {"live": True, "reason": "", "address": server(golden, champion.features)}
    figures = stage(champion, lease).smoke_test(second, event)
    assert (figures["rows"], figures["failures"]) == (50, 0)


def test_candidate_with_other_predictions_fails(champion, lease, second, server, golden):
    wrong = {row: prediction / 2 for row, prediction in golden.items()}
    event = {"live": True, "reason": "", "address": server(wrong, champion.features)}
    with pytest.raises(RolloutFailed, match="golden rows are predicted differently"):
        stage(champion, lease).smoke_test(second, event)


def test_candidate_that_does_not_start_fails(champion, lease, second):
    with pytest.raises(RolloutFailed, match="cannot be served: the server of version 2 died"):
        stage(champion, lease).smoke_test(second, dict(NOT_LIVE))
