"""The running HAProxy: files first and then the process, so that a restart changes nothing."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from include.atomic_files import write_atomically
from include.catalog import catalog
from include.credentials import write_private
from include.errors import ServiceUnavailable
from include.serving import paths
from include.serving.gateway import config
from include.settings import settings

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from include.serving.gateway.config import Route, Server

COMMAND_TIMEOUT_S = 2.0
RELOAD_TIMEOUT_S = 5.0
RELOAD_POLL_INTERVAL_S = 0.02
RECEIVE_BYTES = 65_536


# Opens the pipe for reading, too, so that neither side waits for the other or sees its end.
WITH_ACCESS_LOG = 'exec "$@" 1<>"$0"'
# HAProxy's buffers of 256 KB are above glibc's limit for memory from the heap: without these settings the
# kernel maps, clears and unmaps the buffers of each request, which takes 0.2 ms of it.
MALLOC_SETTINGS = ("MALLOC_MMAP_THRESHOLD_=4194304", "MALLOC_TRIM_THRESHOLD_=134217728")


def command(binary: str = "haproxy") -> list[str]:
    """Return the command line of HAProxy for the supervisor; its standard output is the access log."""
    master = f"{paths.socket_path('haproxy-master.sock')},mode,600"
    haproxy = [binary, "-W", "-S", master, "-f", str(paths.haproxy_folder() / "haproxy.cfg")]
    return ["env", *MALLOC_SETTINGS, "sh", "-c", WITH_ACCESS_LOG, str(paths.access_pipe()), *haproxy]


class Gateway:
    """The HAProxy of this home: its configuration, its map and its sockets."""

    def __init__(self) -> None:
        self.config = paths.haproxy_folder() / "haproxy.cfg"
        self.map = paths.haproxy_folder() / config.MAP
        self.callers_map = paths.haproxy_folder() / config.CALLERS_MAP
        self.stats = paths.socket_path("haproxy.sock")
        self.master = paths.socket_path("haproxy-master.sock")

    def prepare(self) -> None:
        """Write the files that HAProxy needs to start; existing servers and routes are kept."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        paths.make_pipe(paths.access_pipe())
        if not self.map.exists():
            write_atomically(self.map, config.render_map(config.map_entries({})))
        if not self.callers_map.exists():
            write_atomically(self.callers_map, "")
        servers = self.servers() if self.config.exists() else []
        write_private(self.config, self._render(servers))

    def routes(self) -> dict[str, Route]:
        """Return the routes that were set last."""
        return config.parse_routes(config.parse_map(self.map.read_text()))

    def servers(self) -> list[Server]:
        """Return the servers that the configuration file can route to."""
        return config.parse_servers(self.config.read_text())

    def set_servers(self, servers: Collection[Server]) -> None:
        """
        Make HAProxy able to route to `servers`; reload it, without an interruption, if it is not yet.

        Raises
        ------
        ServiceUnavailable
            If HAProxy cannot be reached or does not accept the configuration; the old file is restored.
        """
        text = self._render(servers)
        previous_text = self.config.read_text()
        if text != previous_text:
            write_private(self.config, text)
        digest = config.digest_of(text)
        if self._running_digest() == digest:
            return
        _send_command(self.master, "reload")
        if not self._wait_until_running(digest):
            write_private(self.config, previous_text)
            raise ServiceUnavailable(f"HAProxy did not accept {self.config} on reload; see its log.")

    def set_routes(self, routes: dict[str, Route]) -> None:
        """
        Make HAProxy use these routes now and after a restart.

        Raises
        ------
        ServiceUnavailable
            If HAProxy cannot be reached or rejects a change; it reads the routes when it starts.
        """
        self._set_map(self.map, config.map_entries(routes))

    def set_grants(self, grants: dict[str, str]) -> None:
        """
        Make HAProxy accept exactly these tokens now and after a restart; see `callers.grant_entries`.

        Raises
        ------
        ServiceUnavailable
            If HAProxy cannot be reached or rejects a change; it reads the tokens when it starts.
        """
        self._set_map(self.callers_map, grants)

    def _set_map(self, file: Path, entries: dict[str, str]) -> None:
        text = config.render_map(entries)
        if not file.exists() or text != file.read_text():
            write_atomically(file, text)
        running = self._running_entries(file.name)
        changes = [
            f"{'set' if key in running else 'add'} map {file.name} {key} {value}"
            for key, value in entries.items()
            if running.get(key) != value
        ]
        changes += [f"del map {file.name} {key}" for key in running.keys() - entries.keys()]
        for change in changes:
            problem = _send_command(self.stats, change)
            if problem:
                raise ServiceUnavailable(f"HAProxy answered {problem!r} to `{change}`.")

    def _render(self, servers: Collection[Server]) -> str:
        return config.render_config(
            servers,
            sockets=config.Sockets(
                self.stats, paths.socket_path("haproxy-again.sock"), paths.fallback_socket()
            ),
            ports=(settings().gateway_port, settings().controller_port),
            deadlines={name: use_case.slo.deadline_s for name, use_case in catalog().use_cases.items()},
            access=config.Access(
                settings().require_tokens, settings().gateway_certificate, settings().gateway_secret
            ),
        )

    def _running_entries(self, name: str) -> dict[str, str]:
        """Return the entries of a running map."""
        entries = {}
        # Each line has an address, the key and the value.
        for line in _send_command(self.stats, f"show map {name}").splitlines():
            if line.strip():
                _, key, value = line.split(maxsplit=2)
                entries[key] = value
        return entries

    def dropped_log_lines(self) -> int:
        """
        Return how many lines of its logs HAProxy could not write since it started or was reloaded.

        Raises
        ------
        ServiceUnavailable
            If HAProxy cannot be reached.
        """
        return int(self._running_info("DroppedLogs") or 0)

    def _running_digest(self) -> str | None:
        """Return the digest of the configuration that HAProxy runs."""
        return self._running_info("description")

    def _running_info(self, name: str) -> str | None:
        for line in _send_command(self.stats, "show info").splitlines():
            if line.startswith(f"{name}:"):
                return line.partition(":")[2].strip()
        return None

    def _wait_until_running(self, digest: str) -> bool:
        """Wait until HAProxy runs the configuration with `digest`; return False after `RELOAD_TIMEOUT_S`."""
        # Between two workers, HAProxy does not answer.
        retrying = Retrying(
            stop=stop_after_delay(RELOAD_TIMEOUT_S),
            wait=wait_fixed(RELOAD_POLL_INTERVAL_S),
            retry=retry_if_exception_type(ServiceUnavailable)
            | retry_if_result(lambda running: running != digest),
        )
        try:
            retrying(self._running_digest)
        except RetryError:
            return False
        return True


def _send_command(path: Path, line: str) -> str:
    """Send a command to a socket of HAProxy and return its answer."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(COMMAND_TIMEOUT_S)
            connection.connect(str(path))
            connection.sendall(f"{line}\n".encode())
            return b"".join(iter(lambda: connection.recv(RECEIVE_BYTES), b"")).decode().strip()
    except OSError as error:
        raise ServiceUnavailable(f"HAProxy does not answer on {path}: {error}. Is it running?") from error
