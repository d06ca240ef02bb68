"""
`python -m tests.faults.relay <target>`: an HTTP server that forwards, or loses and cuts as it is told.

A process of its own: parts of Delta's file system hold the GIL while they wait for an answer.
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
    """What happens to the next `times` requests whose `METHOD path` matches."""

    kind: Kind
    where: str
    times: int
    stop: bool

    def meets(self, request: str) -> bool:
        if self.times < 1 or not re.search(self.where, request):
            return False
        self.times -= 1
        return True


class Relay:
    """Forwards to `target`; what is public is called from the tests' process."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._faults: list[Fault] = []
        self._seen: list[tuple[str, int]] = []  # `METHOD path` and the status it got, 0 for none
        self._port = 0
        self._server: _Server | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()

    def start(self) -> int:
        """Listen, always on the same port, and return it."""
        if self._server is None:
            self._closing.clear()
            self._server = _Server(("127.0.0.1", self._port), _Handler)
            self._server.relay = self
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self._port

    def stop(self) -> None:
        """Refuse connections from now on, and cut those there are."""
        with self._lock:
            server, self._server = self._server, None
        if server:
            self._closing.set()
            server.shutdown()
            server.server_close()
            for connection in list(self._open):
                _cut(connection)

    def inject(self, kind: Kind, where: str, times: int, stop: bool) -> None:
        with self._lock:
            self._faults.append(Fault(kind, where, times, stop))

    def heal(self) -> None:
        with self._lock:
            self._faults.clear()

    def seen(self) -> list[tuple[str, int]]:
        return list(self._seen)

    def _fault(self, request: str) -> Fault | None:
        with self._lock:
            return next((fault for fault in self._faults if fault.meets(request)), None)


class _Server(ThreadingHTTPServer):
    relay: Relay
    daemon_threads = True
    request_queue_size = 128
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is what this is for."""


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
        relay, request = self.server.relay, f"{self.command} {self.path}"
        length, fault = int(self.headers.get("Content-Length") or 0), relay._fault(request)
        kind = fault.kind if fault else ""
        body = self.rfile.read(length // 2 if kind == "cut" else length)
        if fault and fault.stop:
            relay.stop()
        if kind == "busy":
            self.answer(503, [("Content-Type", "application/xml")], BUSY)
            return
        if kind == "hang":
            relay._closing.wait(60)
        if kind in ("cut", "hang"):
            self.drop()
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        self.upstream.request(self.command, self.path, body=body or None, headers=headers)
        answer = self.upstream.getresponse()
        content = answer.read()
        if kind == "lose":
            self.drop()
        else:
            self.answer(answer.status, answer.getheaders(), content)

    do_GET = do_HEAD = do_PUT = do_PATCH = do_POST = do_DELETE = forward

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.server.relay._seen.append((f"{self.command} {self.path}", status))
        self.send_response_only(status)
        kept = [pair for pair in headers if pair[0].lower() not in HOP_BY_HOP | {"content-length"}]
        length = {name.lower(): value for name, value in headers}.get("content-length")
        for name, value in kept:
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        self.server.relay._seen.append((f"{self.command} {self.path}", 0))
        self.close_connection = True
        _cut(self.connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker


if __name__ == "__main__":
    relay = Relay(sys.argv[1])
    commands = SimpleXMLRPCServer(("127.0.0.1", 0), allow_none=True, logRequests=False)
    commands.register_instance(relay)
    print(relay.start(), commands.server_address[1], flush=True)  # noqa: T201
    commands.serve_forever()
