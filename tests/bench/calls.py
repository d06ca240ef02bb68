"""Callers with one connection each, light enough not to be what is measured."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one-row requests go: `bodies` are sent one after the other, over and over."""

    address: str  # host:port
    path: str
    bodies: Sequence[bytes]


@dataclass
class Answers:
    """How long each answer took, in ms, and how long all of them together, in s."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def call(place: Place, *, seconds: float, callers: int = 1, rate: float | None = None) -> Answers:
    """
    Return what `callers` saw in `seconds`: as fast as they can, or together `rate` requests a second.

    :raises ServiceUnavailable: at the first answer that is not a 200
    """
    answers, problems = Answers(), []
    end = time.perf_counter() + seconds

    def caller(number: int) -> None:
        try:
            answers.latencies.extend(_call_until(end, place, number, callers, rate))
        except (OSError, http.client.HTTPException, ServiceUnavailable) as error:
            problems.append(error)

    began = time.perf_counter()
    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise ServiceUnavailable(f"{place.address}{place.path}: {problems[0]}")
    answers.seconds = time.perf_counter() - began
    return answers


def _call_until(end: float, place: Place, number: int, callers: int, rate: float | None) -> list[float]:
    connection = http.client.HTTPConnection(place.address, timeout=TIMEOUT)
    pause = callers / rate if rate else 0.0
    due, latencies, turn = time.perf_counter() + number * pause / callers, [], number
    while (now := time.perf_counter()) < end:
        if due > now:
            time.sleep(due - now)
        began = due if rate else time.perf_counter()  # a late start is part of what the caller waited
        due += pause
        headers = {"Content-Type": "application/json", "X-Entity-Id": str(turn)}
        connection.request("POST", place.path, place.bodies[turn % len(place.bodies)], headers)
        response = connection.getresponse()
        content = response.read()
        if response.status != http.client.OK:
            raise ServiceUnavailable(f"answered {response.status}: {content[:200]!r}")
        latencies.append(1000 * (time.perf_counter() - began))
        turn += callers
    connection.close()
    return latencies
