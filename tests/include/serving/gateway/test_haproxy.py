from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from include.errors import ServiceUnavailable
from include.serving.gateway.config import Route, Server, map_entries, render_map
from include.serving.gateway.haproxy import MALLOC_SETTINGS, Gateway, command

ROOT = Path(__file__).parents[4]


def test_preparing_again_keeps_servers_and_routes(home) -> None:
    gateway = Gateway()
    gateway.prepare()
    text = gateway.config.read_text()
    servers = [Server("delay", 3, 9000), Server("delay", 4, 9001)]
    gateway.config.write_text(gateway._render(servers))
    gateway.map.write_text(render_map(map_entries({"delay": Route(3, 4, 5)})))
    gateway.prepare()
    assert gateway.servers() == servers
    assert gateway.routes() == {"delay": Route(3, 4, 5)}
    assert gateway.config.read_text() != text


def test_buffers_come_from_the_heap(home, tmp_path) -> None:
    Gateway().prepare()
    binary = tmp_path / "haproxy"
    binary.write_text(f"#!/bin/sh\nenv > {tmp_path}/variables\n")
    binary.chmod(0o755)
    subprocess.run(command(str(binary)), check=True, timeout=10)
    variables = dict(line.split("=", 1) for line in (tmp_path / "variables").read_text().splitlines())
    bufsize = int(re.search(r"tune\.bufsize (\d+)", Gateway().config.read_text())[1])
    assert int(variables["MALLOC_MMAP_THRESHOLD_"]) > bufsize
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
    settings = dict(setting.split("=") for setting in MALLOC_SETTINGS)
    assert settings.items() <= compose["services"]["haproxy"]["environment"].items()


def test_routes_are_stored_while_haproxy_is_away(home) -> None:
    gateway = Gateway()
    gateway.prepare()
    with pytest.raises(ServiceUnavailable, match="HAProxy does not answer"):
        gateway.set_routes({"delay": Route(3)})
    assert gateway.routes() == {"delay": Route(3)}
