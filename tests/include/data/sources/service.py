"""An HTTP service with answers that a test sets."""

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
class Response:
    """Response of a path: `length` is the announced size, `delay_per_byte` is in seconds."""

    body: bytes = b""
    status: int = 200
    length: int | None = None
    delay_per_byte: float = 0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Upstream:
    """Responses by path, 404 for all others; `requests` has the headers of each request."""

    uri: str
    responses: dict[str, Response] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)

    def put(self, path: str, body: str | bytes, **changes: object) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.responses[path] = Response(content, **changes)  # type: ignore[arg-type]

    def response_of(self, path: str, etag: str | None, modified: str | None) -> Response:
        """Return the response of a path, 304 if its content has this tag or, without one, this time."""
        response = self.responses.get(path, Response(status=404))
        validator, name = (modified, "Last-Modified") if etag is None else (etag, "ETag")
        is_known = validator is not None and validator == response.headers.get(name)
        return Response(status=304) if is_known else response


@contextmanager
def serving() -> Iterator[Upstream]:
    """Run a service until the test ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            upstream.requests.append({name.lower(): value for name, value in self.headers.items()})
            response = upstream.response_of(
                self.path, *map(self.headers.get, ("If-None-Match", "If-Modified-Since"))
            )
            self.send_response(response.status)
            self.send_header("Content-Length", str(response.length or len(response.body)))
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if not response.delay_per_byte:
                self.wfile.write(response.body)
                return
            for byte in response.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(response.delay_per_byte)

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
