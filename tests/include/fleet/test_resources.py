"""Figures of model servers, from the texts that Prometheus reads."""

from __future__ import annotations

import time
from functools import partial

import httpx
import pytest

from include.fleet import resources
from include.fleet.resources import COLUMNS, read_servers
from include.settings import settings

CONTROLLER = """
process_cpu_seconds_total{{use_case="delay",version="1",replica="1"}} 50
process_start_time_seconds{{use_case="delay",version="1",replica="1"}} {started}
process_resident_memory_bytes{{use_case="delay",version="1",replica="1"}} 2.5e+08
process_resident_memory_bytes{{use_case="delay",version="2",replica="1"}} 1e+08
process_resident_memory_bytes{{use_case="other",version="1",replica="1"}} 1e+08
"""
HAPROXY = """
haproxy_server_current_sessions{proxy="delay.v1",server="champion1"} 2
haproxy_server_current_sessions{proxy="delay.v2.over.v1",server="champion1"} 1
haproxy_server_current_sessions{proxy="delay.v2.over.v1",server="challenger1"} 4
haproxy_server_current_sessions{proxy="other.v1",server="champion1"} 9
haproxy_server_current_sessions{proxy="delay.v1",server="again"} 9
haproxy_server_retry_warnings_total{proxy="delay.v2.over.v1",server="challenger1"} 3
"""


@pytest.fixture
def gateway(monkeypatch):
    """Return a dictionary of what the gateway answers, status and text by path; no controller is near."""
    text = CONTROLLER.format(started=time.time() - 100)
    pages = {"/metrics": (200, text), "/metrics/haproxy": (200, HAPROXY)}

    def answer(request):
        if request.url.port == settings().controller_port:
            raise httpx.ConnectError("refused")
        status, text = pages[request.url.path]
        return httpx.Response(status, text=text)

    client = partial(httpx.Client, transport=httpx.MockTransport(answer))
    monkeypatch.setattr(resources.httpx, "Client", client)
    return pages


def test_servers_of_a_model_have_their_figures(gateway):
    content = read_servers(None, "delay")
    assert content.columns == COLUMNS
    assert content.rows == [("version 2", 1, "", "100", "4", "3"), ("version 1", 1, "0.50", "250", "3", "")]


def test_model_without_a_server_says_so(gateway):
    assert read_servers(None, "nothing").note == "No model server runs."


def test_gateway_that_wants_a_token_says_so(gateway):
    gateway["/metrics/haproxy"] = (401, "")
    content = read_servers(None, "delay")
    assert content.rows[1] == ("version 1", 1, "0.50", "250", "", "")
    assert "tells /metrics/haproxy only to a token of the scope --metrics" in content.note
    gateway["/metrics"] = (503, "")
    assert "metrics cannot be read" in read_servers(None, "delay").note
