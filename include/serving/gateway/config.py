"""HAProxy's configuration, rendered from the running servers, and its map, rendered from the routes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, field
from itertools import groupby, permutations
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from include.credentials import GATEWAY_SECRET_HEADER
from include.declarations.monitoring import Slo
from include.serving.gateway.log_format import LOG_FORMAT, LOG_LINE_BYTES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAP = "routes.map"
DEFAULT_DEADLINE_S = Slo().deadline_s
# Callers wait so long in addition to a deadline, while a champion that ended is replaced.
RESTART_S = 8.0
CALLERS_MAP = "callers.map"
NO_BACKEND = "none"
# Stand for the champion of a use case that is not served any more, of one whose callers get 503, and of one
# that the fallback server answers; the last is the name of its backend, too.
RETIRED = "retired"
UNAVAILABLE = "unavailable"
FALLBACK = "fallback"
NO_VERSION = frozenset({NO_BACKEND, UNAVAILABLE, FALLBACK})
# Key of the map's list of all use cases; it is no valid name of a use case.
ALL_USE_CASES = "*"
SERVERS_COMMENT = "# servers: "


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """A model server that can be routed to: one of the replicas of a version, which are counted from 1."""

    use_case: str
    version: int
    port: int
    replica: int = 1

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells it from all others: use case, version and replica."""
        return self.use_case, self.version, self.replica

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """
    The versions that serve a use case; `weight` of 10,000 requests go to the challenger.

    A `retired` use case has none, and is not among the models that a response lists. Of a use case that is
    switched off, `fallback` is the kind of its answers and `reason` says why; the kind `previous` has the
    version that answers as `champion`.
    """

    champion: int | None = None
    challenger: int | None = None
    weight: int = 0
    retired: bool = False
    fallback: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sockets:
    """
    Unix sockets that HAProxy uses: for its commands, for the requests of a champion that it repeats, and of
    the fallback server.
    """

    stats: Path
    again: Path
    fallback: Path


@dataclass(frozen=True, slots=True)
class Access:
    """Whether callers need a token, the file of the certificate for TLS, and the secret of model servers."""

    require_tokens: bool = False
    certificate: Path | None = None
    secret: str = field(default="", repr=False)


def render_config(
    servers: Collection[Server],
    *,
    sockets: Sockets,
    ports: tuple[int, int],
    access: Access = Access(),
    deadlines: Mapping[str, float] | None = None,
) -> str:
    """
    Return a configuration with the backends for every route between `servers`.

    Parameters
    ----------
    servers
        The model servers.
    sockets
        The Unix sockets that it uses.
    ports
        Ports of the gateway and of the controller.
    access
        Who may call, and how.
    deadlines
        Time in seconds for a response of each use case; that of the default service level for others.
    """
    in_order = sorted(servers, key=lambda server: server.key)
    versions = [list(replicas) for _, replicas in groupby(in_order, lambda server: server.key[:2])]
    pairs = [pair for pair in permutations(versions, 2) if pair[0][0].use_case == pair[1][0].use_case]
    gateway_port, controller_port = ports
    deadlines_ms = {server.use_case: round(1000 * DEFAULT_DEADLINE_S) for server in servers}
    deadlines_ms |= {name: round(1000 * seconds) for name, seconds in (deadlines or {}).items()}
    values = {
        "deadlines_ms": deadlines_ms,
        "restart_ms": round(1000 * RESTART_S),
        "versions": versions,
        "pairs": pairs,
        "server_list": json.dumps([astuple(server) for server in in_order]),
        "map_file": MAP,
        "callers_map": CALLERS_MAP,
        "access": access,
        "secret_header": GATEWAY_SECRET_HEADER,
        "sockets": sockets,
        "gateway_port": gateway_port,
        "controller_port": controller_port,
        "log_format": LOG_FORMAT,
        "log_line_bytes": LOG_LINE_BYTES,
    }
    without_digest = _TEMPLATE.render(values, digest="")
    digest = hashlib.sha256(without_digest.encode()).hexdigest()[:16]
    return _TEMPLATE.render(values, digest=digest)


def digest_of(config: str) -> str:
    """Return the digest in a configuration, which HAProxy returns in `show info`."""
    return next(line.split()[1] for line in config.splitlines() if line.strip().startswith("description "))


def parse_servers(config: str) -> list[Server]:
    """Return the servers that a configuration was rendered for."""
    for line in config.splitlines():
        if line.startswith(SERVERS_COMMENT):
            return [Server(*fields) for fields in json.loads(line.removeprefix(SERVERS_COMMENT))]
    return []


def map_entries(routes: dict[str, Route]) -> dict[str, str]:
    """Return the entries of the map: one per use case, so that changing a route is atomic."""
    served = sorted(use_case for use_case, route in routes.items() if not route.retired)
    all_use_cases = json.dumps(served, separators=(",", ":"))
    return {ALL_USE_CASES: all_use_cases} | {
        use_case: _map_value(use_case, route) for use_case, route in routes.items()
    }


def render_map(entries: dict[str, str]) -> str:
    """Return the content of the map file, which HAProxy reads when it starts."""
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def parse_map(text: str) -> dict[str, str]:
    """Return the entries of a map file."""
    entries = {}
    for line in text.splitlines():
        if line.strip():
            key, value = line.split(maxsplit=1)
            entries[key] = value
    return entries


def parse_routes(entries: dict[str, str]) -> dict[str, Route]:
    """Return the routes by use case from the entries of the map."""
    routes = {}
    for use_case, value in entries.items():
        if use_case != ALL_USE_CASES:
            routes[use_case] = _parse_route(value)
    return routes


def _parse_route(value: str) -> Route:
    champion, challenger, weight, fallback, reason = [*value.split("|"), "", ""][:5]
    if champion == RETIRED:
        return Route(retired=True)
    return Route(
        _version_in(champion), _version_in(challenger), int(weight), fallback=fallback, reason=unquote(reason)
    )


def champion_backend(use_case: str, version: int) -> str:
    """Return the name of the backend of one version alone."""
    return f"{use_case}.v{version}"


def challenger_backend(use_case: str, version: int, champion: int) -> str:
    """Return the name of the backend of a challenger that falls back to a champion."""
    return f"{use_case}.v{version}.over.v{champion}"


def staged_backend(use_case: str, version: int) -> str:
    """Return the name of the backend that the tests of a deployment reach."""
    return f"{use_case}.v{version}.staged"


def _map_value(use_case: str, route: Route) -> str:
    if route.retired:
        return f"{RETIRED}|{NO_BACKEND}|0"
    if route.fallback:
        reason = quote(route.reason, safe="")
        return f"{_fallback_backend(use_case, route)}|{NO_BACKEND}|0|{route.fallback}|{reason}"
    if route.champion is None:
        return f"{NO_BACKEND}|{NO_BACKEND}|0"
    champion = champion_backend(use_case, route.champion)
    if route.challenger is None:
        return f"{champion}|{NO_BACKEND}|0"
    challenger = challenger_backend(use_case, route.challenger, route.champion)
    return f"{champion}|{challenger}|{route.weight}"


def _fallback_backend(use_case: str, route: Route) -> str:
    """Return the backend that answers while a use case is switched off."""
    if route.champion is not None:
        return champion_backend(use_case, route.champion)
    return UNAVAILABLE if route.fallback == UNAVAILABLE else FALLBACK


def _version_in(backend: str) -> int | None:
    return None if backend in NO_VERSION else int(backend.split(".")[1].removeprefix("v"))


def _quote_argument(value: object) -> str:
    """Return a value as a quoted argument of HAProxy's configuration."""
    return json.dumps(str(value), ensure_ascii=False).replace("$", "\\$")


def _jinja_environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=False,  # noqa: S701
        keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["quoted"] = _quote_argument
    environment.globals["champion_backend"] = champion_backend
    environment.globals["challenger_backend"] = challenger_backend
    environment.globals["staged_backend"] = staged_backend
    return environment


_TEMPLATE = _jinja_environment().get_template("haproxy.cfg.jinja")
