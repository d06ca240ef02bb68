"""A process with one event loop that sends one-row requests over kept connections, and their latencies."""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.credentials import GATEWAY_SECRET_HEADER
from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY = Path(__file__).parents[2]
TIMEOUT_S = 10.0
RECEIVE_BYTES = 65_536
HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    A host and port, a path and the bodies of one-row requests, which are sent in turn.

    `route` is what the gateway would tell a model server: with it, the server does the same work. `secret` is
    what it would prove itself by.
    """

    address: str
    path: str
    bodies: Sequence[bytes]
    route: str = ""
    secret: str = field(default="", repr=False)


@dataclass
class Latencies:
    """The latency of each response in ms, and the duration of all requests in s."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


@dataclass
class _Connection:
    """A connection, when its request was sent, and what it received so far."""

    socket: socket.socket
    sent_at: float = 0.0
    received: bytes = b""


def call(endpoint: Endpoint, *, seconds: float, callers: int = 1) -> Latencies:
    """
    Send requests over `callers` connections for `seconds` from a process of its own.

    The process of the measurements has other threads, which would add to the latencies.

    Raises
    ------
    ServiceUnavailable
        If a response is not 200, or there is none.
    """
    task = {
        "address": endpoint.address,
        "path": endpoint.path,
        "route": endpoint.route,
        "secret": endpoint.secret,
        "bodies": [body.decode() for body in endpoint.bodies],
        "seconds": seconds,
        "callers": callers,
    }
    process = subprocess.run(
        [sys.executable, "-m", "tests.bench.calls"],
        input=json.dumps(task), capture_output=True, text=True, cwd=REPOSITORY, check=False,
    )  # fmt: skip
    if process.returncode:
        last_lines = process.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ServiceUnavailable(f"{endpoint.address}{endpoint.path}: {last_lines[0]}")
    result = json.loads(process.stdout)
    return Latencies(result["latencies"], result["seconds"])


def send_requests(task: dict[str, Any]) -> Latencies:
    """Send the requests of a task in this process."""
    requests = [_request(task, number, body) for number, body in enumerate(task["bodies"])]
    selector = selectors.DefaultSelector()
    result = Latencies()
    turn = 0
    host, _, port = task["address"].partition(":")
    began = time.perf_counter()
    end = began + task["seconds"]
    for _ in range(task["callers"]):
        connection = _Connection(socket.create_connection((host, int(port)), TIMEOUT_S))
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        _send(connection, requests[turn % len(requests)])
        turn += 1
    while time.perf_counter() < end:
        events = selector.select(TIMEOUT_S)
        if not events:
            raise ServiceUnavailable(f"no response within {TIMEOUT_S:g} s")
        for key, _ in events:
            latency = _receive(key.data)
            if latency is not None:
                result.latencies.append(latency)
                _send(key.data, requests[turn % len(requests)])
                turn += 1
    result.seconds = time.perf_counter() - began
    for key in list(selector.get_map().values()):
        key.data.socket.close()
    return result


def _request(task: dict[str, Any], number: int, body: str) -> bytes:
    content = body.encode()
    route = f"X-Airworthy-Route: {task['route']}\r\n" if task["route"] else ""
    if task["secret"]:
        route += f"{GATEWAY_SECRET_HEADER}: {task['secret']}\r\n"
    head = (
        f"POST {task['path']} HTTP/1.1\r\nHost: {task['address']}\r\nContent-Type: application/json\r\n"
        f"X-Entity-Id: {number}\r\n{route}Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _send(connection: _Connection, request: bytes) -> None:
    connection.received = b""
    connection.sent_at = time.perf_counter()
    connection.socket.sendall(request)


def _receive(connection: _Connection) -> float | None:
    """Return the latency of a response in ms once it is complete."""
    part = connection.socket.recv(RECEIVE_BYTES)
    if not part:
        raise ServiceUnavailable("the connection was closed before the response")
    connection.received += part
    head, separator, body = connection.received.partition(HEAD_END)
    if not separator:
        return None
    length = int((head.lower() + b"\r\n").partition(LENGTH)[2].partition(b"\r\n")[0])
    if len(body) < length:
        return None
    status = head.split(maxsplit=2)[1]
    if status != b"200":
        raise ServiceUnavailable(f"status {status.decode()}: {body[:200]!r}")
    return 1000 * (time.perf_counter() - connection.sent_at)


if __name__ == "__main__":
    measured = send_requests(json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps({"latencies": measured.latencies, "seconds": measured.seconds}))
