"""What HAProxy is told: the configuration, from the running servers, and the map, from the routes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from itertools import groupby, permutations
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

MAP = "routes.map"
NO_BACKEND = "none"
ALL_USE_CASES = "*"  # the map's key for the names of all use cases; no use case can be called so
_SERVERS = "# servers: "
_FRONTEND = Template((Path(__file__).parent / "haproxy.cfg.template").read_text())

# A champion that died is asked again through the frontend `again`, on a new connection: only there
# does HAProxy pause between retries, and so its callers wait until the controller has replaced it.
_CHAMPION = """
backend {name}
  http-request set-header X-Airworthy-Route champion
  http-request set-header X-Airworthy-Again {name}.again
  balance first
  option redispatch 1
  retries 2
  retry-on conn-failure empty-response
  server champion {champion} id 1
  server again "unix@${{AIRWORTHY_AGAIN}}" id 2

backend {name}.again
  option http-server-close
  retries 20
  retry-on conn-failure empty-response
  server champion {champion}
"""
# `balance first` asks the challenger, and on a retry the other one: the champion. A challenger that hangs
# holds at most `maxconn` callers, and after a row of errors is left out until it is ready again.
_CHALLENGER = """
backend {name}
  http-request set-header X-Airworthy-Route challenger={version}
  balance first
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response response-timeout junk-response 425 500 502 503 504
  timeout connect 100ms
  timeout server 500ms
  timeout queue 20ms
  option httpchk GET /readyz
  default-server inter 1s fall 2 rise 2 observe layer7 error-limit 20 on-error mark-down
  server challenger {challenger} id 1 maxconn 64 check
  server champion {champion} id 2
"""


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A model server that can be routed to."""

    use_case: str
    version: int
    port: int

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers a use case's requests; `weight` of 10,000 go to the challenger."""

    champion: int | None = None
    challenger: int | None = None
    weight: int = 0


def render_config(
    servers: Collection[Server], *, stats_socket: Path, again_socket: Path, ports: tuple[int, int]
) -> str:
    """Return a configuration that can route to any server; `ports` are the gateway's and the controller's."""
    backends = []
    for use_case, group in groupby(sorted(servers), key=lambda server: server.use_case):
        present = list(group)
        backends += [
            _CHAMPION.format(name=champion_backend(use_case, server.version), champion=server.address)
            for server in present
        ]
        backends += [
            _CHALLENGER.format(
                name=challenger_backend(use_case, challenger.version, champion.version),
                version=challenger.version,
                challenger=challenger.address,
                champion=champion.address,
            )
            for challenger, champion in permutations(present, 2)
        ]
    body = "".join(backends)
    values = {"stats_socket": _quoted(stats_socket), "gateway_port": ports[0], "controller_port": ports[1]}
    values |= {"again_socket": _quoted(again_socket)}
    values |= {"map": MAP, "servers": json.dumps([astuple(server) for server in sorted(servers)])}
    digest = hashlib.sha256((_FRONTEND.substitute(values, digest="") + body).encode()).hexdigest()[:16]
    return _FRONTEND.substitute(values, digest=digest) + body


def digest_of(config: str) -> str:
    """Return the digest that a configuration carries, as HAProxy tells it back in `show info`."""
    return next(line.split()[1] for line in config.splitlines() if line.strip().startswith("description "))


def parse_servers(config: str) -> list[Server]:
    """Return the servers that a configuration was rendered for."""
    line = next((line for line in config.splitlines() if line.startswith(_SERVERS)), f"{_SERVERS}[]")
    return [Server(*fields) for fields in json.loads(line.removeprefix(_SERVERS))]


def map_entries(routes: dict[str, Route]) -> dict[str, str]:
    """Return the map's entries: one a use case, so that a switch is one atomic change."""
    entries = {use_case: _entry(use_case, route) for use_case, route in routes.items()}
    return {ALL_USE_CASES: json.dumps(sorted(routes), separators=(",", ":"))} | entries


def render_map(entries: dict[str, str]) -> str:
    """Return the map as the file that HAProxy reads when it starts."""
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def parse_map(text: str) -> dict[str, str]:
    """Return the entries of a map's file."""
    lines = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {line[0]: line[1] for line in lines}


def parse_routes(entries: dict[str, str]) -> dict[str, Route]:
    """Return the routes that the map's entries stand for."""
    routes = {}
    for use_case, value in entries.items():
        if use_case != ALL_USE_CASES:
            champion, challenger, weight = value.split("|")
            routes[use_case] = Route(_version(champion), _version(challenger), int(weight))
    return routes


def champion_backend(use_case: str, version: int) -> str:
    """Return the name of the backend of one version alone."""
    return f"{use_case}.v{version}"


def challenger_backend(use_case: str, version: int, champion: int) -> str:
    """Return the name of the backend of a challenger with a champion behind it."""
    return f"{use_case}.v{version}.over.v{champion}"


def _entry(use_case: str, route: Route) -> str:
    champion = challenger = NO_BACKEND
    if route.champion is not None:
        champion = champion_backend(use_case, route.champion)
        if route.challenger is not None:
            challenger = challenger_backend(use_case, route.challenger, route.champion)
    return f"{champion}|{challenger}|{route.weight if challenger != NO_BACKEND else 0}"


def _version(backend: str) -> int | None:
    return None if backend == NO_BACKEND else int(backend.split(".")[1].removeprefix("v"))


def _quoted(value: object) -> str:
    """Return a value as HAProxy reads it from its configuration."""
    return json.dumps(str(value), ensure_ascii=False).replace("$", "\\$")
