"""
`python -m tests.faults.relay <target>`: an HTTP server that forwards requests and injects faults.

It is a separate process because parts of Delta's file system hold the GIL while they wait for a response.
"""

from __future__ import annotations

import http.client
import re
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit
from xmlrpc.server import SimpleXMLRPCServer

Kind = Literal["busy", "cut", "lose", "hang"]
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})
BUSY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass
class Fault:
    """A fault of the next `times` requests whose `METHOD path` matches; `stop` refuses connections, too."""

    kind: Kind
    where: str
    times: int
    stop: bool

    def matches(self, request: str) -> bool:
        if self.times < 1 or not re.search(self.where, request):
            return False
        self.times -= 1
        return True


class Relay:
    """Forward requests to `target`; the process of the tests calls the public methods."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._faults: list[Fault] = []
        # `METHOD path` and the status of its response, 0 for none.
        self._requests: list[tuple[str, int]] = []
        self._port = 0
        self._server: _Server | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()

    def start(self) -> int:
        """Listen on one port, the same after each `stop`, and return it."""
        if self._server is None:
            self._closing.clear()
            self._server = _Server(("127.0.0.1", self._port), _Handler)
            self._server.relay = self
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self._port

    def stop(self) -> None:
        """Refuse new connections and close the open ones."""
        with self._lock:
            server = self._server
            self._server = None
        if server:
            self._closing.set()
            server.shutdown()
            server.server_close()
            for connection in list(self._open):
                _shut_down(connection)

    def inject(self, kind: Kind, where: str, times: int, stop: bool) -> None:
        with self._lock:
            self._faults.append(Fault(kind, where, times, stop))

    def heal(self) -> None:
        with self._lock:
            self._faults.clear()

    def requests(self) -> list[tuple[str, int]]:
        return list(self._requests)

    def take_fault(self, request: str) -> Fault | None:
        with self._lock:
            return next((fault for fault in self._faults if fault.matches(request)), None)


class _Server(ThreadingHTTPServer):
    relay: Relay
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: the broken connections are the faults."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.relay._open.add(self.connection)
        self.upstream = http.client.HTTPConnection(*self.server.relay._target, timeout=60)

    def finish(self) -> None:
        self.server.relay._open.discard(self.connection)
        self.upstream.close()
        super().finish()

    def forward(self) -> None:
        relay = self.server.relay
        fault = relay.take_fault(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        kind = fault.kind if fault else ""
        body = self.rfile.read(length // 2 if kind == "cut" else length)
        if fault and fault.stop:
            relay.stop()
        if kind == "busy":
            self.respond(503, [("Content-Type", "application/xml")], BUSY)
            return
        if kind == "hang":
            relay._closing.wait()
        if kind in ("cut", "hang"):
            self.drop()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        self.upstream.request(self.command, self.path, body=body or None, headers=headers)
        response = self.upstream.getresponse()
        content = response.read()
        if kind == "lose":
            self.drop()
        else:
            self.respond(response.status, response.getheaders(), content)

    do_GET = forward
    do_HEAD = forward
    do_PUT = forward
    do_PATCH = forward
    do_POST = forward
    do_DELETE = forward

    def respond(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.server.relay._requests.append((f"{self.command} {self.path}", status))
        self.send_response_only(status)
        length = {name.lower(): value for name, value in headers}.get("content-length")
        for name, value in headers:
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        self.server.relay._requests.append((f"{self.command} {self.path}", 0))
        self.close_connection = True
        _shut_down(self.connection)


def _shut_down(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        # The other side has closed it already.
        return


if __name__ == "__main__":
    relay = Relay(sys.argv[1])
    commands = SimpleXMLRPCServer(("127.0.0.1", 0), allow_none=True, logRequests=False)
    commands.register_instance(relay)
    print(relay.start(), commands.server_address[1], flush=True)  # noqa: T201
    commands.serve_forever()
