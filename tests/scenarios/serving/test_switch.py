"""The off switch, through a real HAProxy, controller and fallback server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from include.declarations import Fallback
from include.inference.baseline_table import BASELINE, BaselineTable
from include.release import controls
from include.serving import paths
from tests.scenarios.serving.conftest import REPOSITORY
from tests.small_models import ROW

WHO = {"actor": "ann", "reason": 'it "predicts" | nonsense'}
MAX_SECONDS = 2.0


def fallback_answers():
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(paths.fallback_socket())) == 0


@pytest.fixture
def off(served, wait_for):
    """Return a way to switch off and wait until a caller sees it; the model is on again afterwards."""
    process = subprocess.Popen(
        [sys.executable, "-m", "include.serving.fallback"], env=os.environ, cwd=REPOSITORY
    )
    wait_for(fallback_answers, 60, served.logs)

    def switch_off(text, kind):
        began = time.monotonic()
        controls.switch_off(served.database, "delay", Fallback.parse(text), **WHO)
        wait_for(lambda: served.ask().headers.get("X-Fallback") == kind, MAX_SECONDS, served.logs)
        assert time.monotonic() - began < MAX_SECONDS
        return served.ask()

    yield switch_off
    controls.switch_on(served.database, "delay", actor="ann", reason="mended")
    wait_for(lambda: "X-Fallback" not in served.ask().headers, 5, served.logs)
    process.terminate()
    process.wait(10)


def test_callers_get_503_with_the_reason(off):
    answer = off("unavailable", "unavailable")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    content = answer.json()
    assert content["message"] == 'delay is switched off: it "predicts" | nonsense'
    assert content["model"] == {"name": "delay", "version": None, "fallback": "unavailable"}


def test_callers_get_the_constant_while_no_server_lives(off, served):
    off("constant:0.4", "constant")
    for version in (1, 2):
        served.server(version).kill()
    answer = served.ask(dataframe_records=[ROW, ROW])
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert content["predictions"] == [0.4, 0.4]
    assert content["model"] == {"name": "delay", "version": None, "fallback": "constant"}
    assert content["request_id"] == answer.headers["X-Request-Id"]
    assert served.ask(nonsense=1).status_code == 400


def test_callers_get_the_baseline_of_their_slot(off, served):
    name, value = next(iter(ROW.items()))
    table = BaselineTable((name,), 0.5, {(value,): 0.1})
    (paths.model_folder("delay", 1) / BASELINE).write_text(json.dumps(table.as_json()))
    content = off("baseline", "baseline").json()
    assert content["predictions"] == [0.1]
    assert content["model"]["fallback"] == "baseline"


def test_callers_get_the_previous_champion(off, served):
    served.settle(previous=2)
    content = off("previous", "previous").json()
    assert content["model"]["version"] == 2
