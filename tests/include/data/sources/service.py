"""A service of somebody's: answers what a test puts into it, over real HTTP."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Answer:
    """What a path answers: `body`, of a `length` that it claims, or `every` so many seconds a byte."""

    body: bytes = b""
    status: int = 200
    length: int | None = None
    every: float = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Upstream:
    """Answers by path, 404 to every other; `asked` has the headers of every request."""

    uri: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def put(self, path: str, body: str | bytes, **changes: object) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.answers[path] = Answer(content, **changes)  # type: ignore[arg-type]


@contextmanager
def serving() -> Iterator[Upstream]:
    """Yield a service that runs until the test is over."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream.asked.append({name.lower(): value for name, value in self.headers.items()})
            answer = upstream.answers.get(self.path, Answer(status=404))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(answer.length or len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not answer.every:
                self.wfile.write(answer.body)
                return
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(answer.every)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    upstream = Upstream(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
