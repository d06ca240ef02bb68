from __future__ import annotations

import json
import socket

import pytest

from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.controller.processes import free_port, last_log_line
from include.serving.gateway.config import Server
from include.settings import settings

SERVER = Server("delay", 1, 9000)


def test_the_last_line_of_a_log_is_returned(home) -> None:
    assert last_log_line(SERVER) == "its log is empty"
    log = paths.log_file("delay", 1)
    log.parent.mkdir(parents=True)
    log.write_text("first\nlast\n\n")
    assert last_log_line(SERVER) == "last"


def test_a_free_port_is_neither_taken_nor_in_use(home, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setenv("AIRWORTHY_MODEL_SERVER_PORTS", json.dumps([port, port]))
        settings.cache_clear()
        with pytest.raises(ServiceUnavailable, match="AIRWORTHY_MODEL_SERVER_PORTS"):
            free_port(set())
    assert free_port(set()) == port
    with pytest.raises(ServiceUnavailable, match=f"All ports from {port} to {port} are in use"):
        free_port({port})
