"""Tell HAProxy what to route where: files first, then the running process, so a restart changes nothing."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.gateway import config as routing
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from include.serving.gateway.config import Route, Server

RELOAD_TIMEOUT_S = 5.0  # seconds


def command() -> list[str]:
    """Return how the supervisor starts HAProxy."""
    master = f"{paths.socket_path('haproxy-master.sock')},mode,600"
    return ["haproxy", "-W", "-S", master, "-f", str(paths.haproxy_folder() / "haproxy.cfg")]


class Gateway:
    """The HAProxy of this home."""

    def __init__(self) -> None:
        self.config = paths.haproxy_folder() / "haproxy.cfg"
        self.map = paths.haproxy_folder() / routing.MAP
        self.stats = paths.socket_path("haproxy.sock")
        self.master = paths.socket_path("haproxy-master.sock")

    def prepare(self) -> None:
        """Write the files that HAProxy needs to start; where there are some, servers and routes stay."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        if not self.map.exists():
            _write(self.map, routing.render_map(routing.map_entries({})))
        _write(self.config, self._rendered(self.servers() if self.config.exists() else ()))

    def routes(self) -> dict[str, Route]:
        """Return the routes as they were last set."""
        return routing.parse_routes(routing.parse_map(self.map.read_text()))

    def servers(self) -> list[Server]:
        """Return the servers that the configuration on disk can route to."""
        return routing.parse_servers(self.config.read_text())

    def set_servers(self, servers: Collection[Server]) -> None:
        """
        Make HAProxy able to route to `servers`, by a seamless reload if it is not yet.

        :raises ServiceUnavailable: if HAProxy is away or does not take the configuration; the old one stays
        """
        config, before = self._rendered(servers), self.config.read_text()
        if config != before:
            _write(self.config, config)
        wanted = routing.digest_of(config)
        if self._digest() == wanted:
            return
        _ask(self.master, "reload")
        deadline = time.monotonic() + RELOAD_TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                if self._digest() == wanted:
                    return
            except ServiceUnavailable:  # between two workers
                pass
            time.sleep(0.02)
        _write(self.config, before)
        raise ServiceUnavailable(f"HAProxy did not take {self.config} on reload; see its log.")

    def set_routes(self, routes: dict[str, Route]) -> None:
        """
        Make HAProxy route like this, at once and after its restart.

        :raises ServiceUnavailable: if HAProxy is away; it will route so when it comes back
        """
        entries = routing.map_entries(routes)
        if (text := routing.render_map(entries)) != self.map.read_text():
            _write(self.map, text)
        # `show map` gives lines of an address, a key and a value
        shown = (
            line.split(maxsplit=2)[1:] for line in _ask(self.stats, f"show map {routing.MAP}").splitlines()
        )
        running = {line[0]: line[1] for line in shown if line}
        changes = [
            f"{'set' if key in running else 'add'} map {routing.MAP} {key} {value}"
            for key, value in entries.items()
            if running.get(key) != value
        ]
        changes += [f"del map {routing.MAP} {key}" for key in running.keys() - entries.keys()]
        for change in changes:
            if answer := _ask(self.stats, change):
                raise ServiceUnavailable(f"HAProxy answered {answer!r} to `{change}`.")

    def _rendered(self, servers: Collection[Server]) -> str:
        ports = (settings().gateway_port, settings().controller_port)
        again = paths.socket_path("haproxy-again.sock")
        return routing.render_config(servers, stats_socket=self.stats, again_socket=again, ports=ports)

    def _digest(self) -> str | None:
        for line in _ask(self.stats, "show info").splitlines():
            if line.startswith("description:"):
                return line.partition(":")[2].strip()
        return None


def _ask(path: Path, order: str) -> str:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(2)
            connection.connect(str(path))
            connection.sendall(f"{order}\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode().strip()
    except OSError as error:
        raise ServiceUnavailable(f"HAProxy does not answer on {path}: {error}. Is it running?") from error


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)
