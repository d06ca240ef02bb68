"""Threads that send one-row requests, each over one connection, and the latencies of the responses."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A host and port, a path and the bodies of one-row requests, which are sent in turn."""

    address: str
    path: str
    bodies: Sequence[bytes]


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


def call(endpoint: Endpoint, *, seconds: float, callers: int = 1, rate: float | None = None) -> Latencies:
    """
    Send requests from `callers` threads for `seconds`, at most `rate` a second, and return their latencies.

    Raises
    ------
    ServiceUnavailable
        If the status of a response is not 200.
    """
    result = Latencies()
    problems: list[Exception] = []
    end = time.perf_counter() + seconds

    def caller(number: int) -> None:
        try:
            result.latencies.extend(_call_until(end, endpoint, number, callers, rate))
        except (OSError, http.client.HTTPException, ServiceUnavailable) as error:
            problems.append(error)

    began = time.perf_counter()
    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise ServiceUnavailable(f"{endpoint.address}{endpoint.path}: {problems[0]}")
    result.seconds = time.perf_counter() - began
    return result


def _call_until(end: float, endpoint: Endpoint, number: int, callers: int, rate: float | None) -> list[float]:
    connection = http.client.HTTPConnection(endpoint.address, timeout=TIMEOUT_S)
    pause = callers / rate if rate else 0.0
    due = time.perf_counter() + number * pause / callers
    latencies = []
    turn = number
    while (now := time.perf_counter()) < end:
        if due > now:
            time.sleep(due - now)
        # A request that starts late has been waiting since it was due.
        began = due if rate else time.perf_counter()
        due += pause
        headers = {"Content-Type": "application/json", "X-Entity-Id": str(turn)}
        connection.request("POST", endpoint.path, endpoint.bodies[turn % len(endpoint.bodies)], headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise ServiceUnavailable(f"status {response.status}: {content[:200]!r}")
        latencies.append(1000 * (time.perf_counter() - began))
        turn += callers
    connection.close()
    return latencies
