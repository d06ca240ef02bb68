from __future__ import annotations

import tempfile

from include.release.rollout import ReleaseState
from include.serving.controller.status import next_route
from include.serving.gateway.config import Route, Server, map_entries, parse_map, parse_routes, render_map
from include.serving.gateway.haproxy import Gateway
from include.serving.paths import LONGEST_SOCKET, socket_path
from include.settings import settings


def test_routes_come_back_from_the_map_as_they_were_set() -> None:
    routes = {"delay": Route(3, 4, 2500), "time": Route(1), "new": Route()}
    assert parse_routes(parse_map(render_map(map_entries(routes)))) == routes


def test_a_challenger_without_a_champion_gets_nothing() -> None:
    assert map_entries({"delay": Route(None, 4, 2500)})["delay"] == "none|none|0"


def test_a_champion_that_is_not_there_yet_waits_while_the_old_one_serves() -> None:
    state = ReleaseState("delay", champion=4, previous=3)
    assert next_route(state, Route(3), {3}) == Route(3)
    assert next_route(state, Route(3), {3, 4}) == Route(4)


def test_a_challenger_that_is_not_there_yet_gets_no_traffic() -> None:
    state = ReleaseState("delay", champion=3, challenger=4, weight=2500)
    assert next_route(state, Route(3), {3}) == Route(3)
    assert next_route(state, Route(3), {3, 4}) == Route(3, 4, 2500)


def test_preparing_again_keeps_servers_and_routes(home) -> None:
    gateway = Gateway()
    gateway.prepare()
    text = gateway.config.read_text()
    servers = [Server("delay", 3, 9000), Server("delay", 4, 9001)]
    gateway.config.write_text(gateway._rendered(servers))
    gateway.map.write_text(render_map(map_entries({"delay": Route(3, 4, 5)})))
    gateway.prepare()
    assert gateway.servers() == servers
    assert gateway.routes() == {"delay": Route(3, 4, 5)}
    assert gateway.config.read_text() != text


def test_a_socket_lies_below_the_home_if_its_name_fits(home, monkeypatch) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setenv("AIRWORTHY_HOME", short)
        settings.cache_clear()
        assert str(socket_path("a.sock")) == f"{short}/run/a.sock"


def test_a_long_home_gets_a_short_private_socket_folder(home, monkeypatch) -> None:
    monkeypatch.setenv("AIRWORTHY_HOME", str(home / ("x" * 120)))
    settings.cache_clear()
    path = socket_path("a.sock")
    assert len(str(path)) < LONGEST_SOCKET
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path == socket_path("a.sock")
    path.parent.rmdir()
