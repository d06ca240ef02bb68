"""A proxy in front of an HTTP server that answers, loses, cuts and refuses as a test asks it to."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

Kind = Literal["busy", "cut", "lose", "hang"]
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect"})
BUSY = b"<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


@dataclass
class Fault:
    """
    What happens to requests whose `METHOD path` matches, `times` times or until it is removed.

    `busy` answers 503, `cut` closes the connection after half of the body, `lose` lets the server do it
    and closes the connection instead of answering, `hang` never answers.
    """

    kind: Kind
    where: str = ""
    times: float = float("inf")
    met: threading.Event = field(default_factory=threading.Event)

    def meets(self, request: str) -> bool:
        if self.times < 1 or not re.search(self.where, request):
            return False
        self.times -= 1
        self.met.set()
        return True


class Proxy:
    """Forwards to `target`; `uri` stays the same over `stop` and `start`."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self.target = (str(parts.hostname), int(parts.port or 80))
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, int]] = []  # `METHOD path` and the status it got, 0 for none
        self.port = 0
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closing = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Proxy:
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._closing.clear()
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections from now on, and cut those there are."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            for connection in self._open:
                _cut(connection)

    def inject(self, kind: Kind, where: str = "", times: float = float("inf")) -> Fault:
        fault = Fault(kind, where, times)
        with self._lock:
            self.faults.append(fault)
        return fault

    def heal(self) -> None:
        with self._lock:
            self.faults.clear()

    def count(self, where: str, status: int | None = None) -> int:
        """Return how many requests matched, and got this status."""
        return sum(1 for request, got in self.seen if re.search(where, request) and status in (None, got))

    def fault(self, request: str) -> Kind | None:
        with self._lock:
            return next((fault.kind for fault in self.faults if fault.meets(request)), None)

    def closing(self) -> bool:
        return self._closing.wait(60)


class _Server(ThreadingHTTPServer):
    proxy: Proxy
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
        self.server.proxy._open.add(self.connection)
        self.upstream = http.client.HTTPConnection(*self.server.proxy.target, timeout=60)

    def finish(self) -> None:
        self.server.proxy._open.discard(self.connection)
        self.upstream.close()
        super().finish()

    def forward(self) -> None:
        proxy, request = self.server.proxy, f"{self.command} {self.path}"
        length, fault = int(self.headers.get("Content-Length") or 0), proxy.fault(request)
        body = self.rfile.read(length // 2 if fault == "cut" else length)
        if fault == "busy":
            self.answer(503, [("Content-Type", "application/xml")], BUSY)
        elif fault in ("cut", "hang"):
            _ = fault == "hang" and proxy.closing()
            self.drop()
        else:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            self.upstream.request(self.command, self.path, body=body or None, headers=headers)
            answer = self.upstream.getresponse()
            content = answer.read()
            if fault == "lose":
                self.drop()
            else:
                self.answer(answer.status, answer.getheaders(), content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = forward

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.server.proxy.seen.append((f"{self.command} {self.path}", status))
        self.send_response_only(status)
        kept = [pair for pair in headers if pair[0].lower() not in HOP_BY_HOP | {"content-length"}]
        length = {name.lower(): value for name, value in headers}.get("content-length")
        for name, value in kept:
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        self.server.proxy.seen.append((f"{self.command} {self.path}", 0))
        self.close_connection = True
        _cut(self.connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was quicker
