from __future__ import annotations

import pytest

from include.errors import ServiceUnavailable
from include.serving.gateway.config import Route, Server, map_entries, render_map
from include.serving.gateway.haproxy import Gateway


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


def test_routes_are_stored_while_haproxy_is_away(home) -> None:
    gateway = Gateway()
    gateway.prepare()
    with pytest.raises(ServiceUnavailable, match="HAProxy does not answer"):
        gateway.set_routes({"delay": Route(3)})
    assert gateway.routes() == {"delay": Route(3)}
