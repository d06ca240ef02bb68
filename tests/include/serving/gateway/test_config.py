from __future__ import annotations

from pathlib import Path

from include.serving.gateway.config import (
    Route,
    Server,
    Sockets,
    digest_of,
    map_entries,
    parse_map,
    parse_routes,
    parse_servers,
    render_config,
    render_map,
)

SERVERS = [Server("delay", 3, 9000), Server("delay", 4, 9001), Server("air_time", 1, 9002)]


def render(
    servers: list[Server], socket: str = "/run/a.sock", deadlines: dict[str, float] | None = None
) -> str:
    sockets = Sockets(Path(socket), Path("/run/b.sock"), Path("/run/c.sock"))
    return render_config(servers, sockets=sockets, ports=(8090, 8091), deadlines=deadlines)


def test_the_map_keeps_routes_as_they_were_set() -> None:
    routes = {"delay": Route(3, 4, 2500), "time": Route(1), "new": Route()}
    assert parse_routes(parse_map(render_map(map_entries(routes)))) == routes


def test_time_outs_follow_the_service_level() -> None:
    config = render(SERVERS, deadlines={"delay": 20.0})
    champion, _, rest = config.partition("backend delay.v3\n")[2].partition("\nbackend ")
    assert "timeout server 28000ms" in champion
    assert "timeout server 5000ms" in rest.partition("backend delay.v4.over.v3\n")[2]
    assert "timeout server 10000ms" in config.partition("backend air_time.v1\n")[2].partition("\nbackend ")[0]


def test_a_retired_use_case_is_no_model_any_more() -> None:
    entries = map_entries({"delay": Route(retired=True), "time": Route(1)})
    assert (entries["delay"], entries["*"]) == ("retired|none|0", '["time"]')
    assert parse_routes(entries) == {"delay": Route(retired=True), "time": Route(1)}


def test_the_map_keeps_routes_that_are_switched_off() -> None:
    routes = {
        "delay": Route(fallback="unavailable", reason='a | "reason"'),
        "time": Route(fallback="constant", reason="100 % wrong"),
        "old": Route(2, fallback="previous", reason="worse"),
    }
    entries = map_entries(routes)
    assert [entries[name].split("|")[0] for name in routes] == ["unavailable", "fallback", "old.v2"]
    assert not any(" " in entry for entry in entries.values())
    assert parse_routes(parse_map(render_map(entries))) == routes


def test_a_challenger_without_a_champion_gets_no_traffic() -> None:
    assert map_entries({"delay": Route(None, 4, 2500)})["delay"] == "none|none|0"


def test_a_configuration_keeps_its_servers() -> None:
    assert parse_servers(render(SERVERS)) == sorted(SERVERS)
    assert parse_servers(render([])) == []


def test_a_configuration_has_each_pair_of_one_use_case() -> None:
    lines = render(SERVERS).splitlines()
    backends = [line.removeprefix("backend ") for line in lines if line.startswith("backend ")]
    single = ["air_time.v1", "delay.v3", "delay.v4"]
    again = [f"{name}.again" for name in single]
    staged = [f"{name}.staged" for name in single]
    pairs = ["delay.v3.over.v4", "delay.v4.over.v3"]
    assert sorted(backends) == sorted(
        [*single, *again, *staged, *pairs, "callers", "controller", "fallback", "nowhere"]
    )


def test_replicas_share_the_requests_and_stand_in_for_each_other() -> None:
    config = render([*SERVERS, Server("delay", 3, 9003, replica=2)])
    backend, _, pair = config.partition("backend delay.v3\n")[2].partition("backend delay.v4.over.v3\n")
    backend = backend.partition("\nbackend ")[0]
    assert "balance leastconn" in backend
    assert "server champion1 127.0.0.1:9000 check" in backend
    assert "server champion2 127.0.0.1:9003 check" in backend
    assert "server champion2 127.0.0.1:9003 track delay.v3/champion2\n" in pair
    single = config.partition("backend delay.v4\n")[2].partition("\nbackend ")[0]
    assert "balance first" in single
    assert Server("delay", 3, 9003, 2) in parse_servers(config)


def test_a_configuration_without_replica_numbers_is_read() -> None:
    assert parse_servers('# servers: [["delay", 3, 9000]]') == [Server("delay", 3, 9000, 1)]


def test_the_digest_depends_on_the_servers_alone() -> None:
    assert digest_of(render(SERVERS)) == digest_of(render(SERVERS[::-1]))
    assert digest_of(render(SERVERS)) != digest_of(render(SERVERS[:1]))


def test_a_socket_with_special_characters_is_quoted() -> None:
    assert 'stats socket "/a \\"b\\" \\${c}" mode 600' in render([], '/a "b" ${c}')
