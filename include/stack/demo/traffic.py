"""Callers of a model: real flights, sent one by one over HTTP to the gateway."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from collections.abc import Sequence

CALLERS = 8


@dataclass
class TrafficStats:
    """What the callers saw: answers by status and by model version, and how long each took in ms."""

    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Requests that ended, however they did."""
        return sum(self.statuses.values()) + sum(self.errors.values())

    @property
    def failed(self) -> int:
        """Requests that were not answered with 200."""
        return self.sent - self.statuses[200]

    def quantile(self, share: float) -> float:
        """Return the latency in ms that `share` of the answers stayed below; 0 without answers."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


class Traffic:
    """
    Callers in a thread of their own, from `with` to the end of its block.

    Each request carries one of `rows` (feature → value, with its entity's id under `entity`), over and over.
    """

    def __init__(
        self, gateway: str, use_case: str, rows: Sequence[dict[str, Any]], *, entity: str, rate: float = 100.0
    ) -> None:
        self.url = f"{gateway}/models/{use_case}/invocations"
        self.rows = itertools.cycle(rows)
        self.entity = entity
        self.pause = CALLERS / rate
        self.tally = TrafficStats()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._call_all()), daemon=True)

    def __enter__(self) -> Self:
        """Start calling."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the calls under way end."""
        self._over.set()
        self._thread.join(timeout=30)

    async def _call_all(self) -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            await asyncio.gather(*(self._call(client) for _ in range(CALLERS)))

    async def _call(self, client: httpx.AsyncClient) -> None:
        while not self._over.is_set():
            row = dict(next(self.rows))
            headers = {"X-Entity-Id": str(row.pop(self.entity))}
            began = time.perf_counter()
            try:
                answer = await client.post(self.url, json={"dataframe_records": [row]}, headers=headers)
            except httpx.HTTPError as error:
                self.tally.errors[type(error).__name__] += 1
            else:
                self._count(answer, 1000 * (time.perf_counter() - began))
            await asyncio.sleep(max(0.0, self.pause - (time.perf_counter() - began)))

    def _count(self, answer: httpx.Response, milliseconds: float) -> None:
        self.tally.statuses[answer.status_code] += 1
        if answer.status_code == 200:
            self.tally.latencies.append(milliseconds)
            self.tally.versions[int(answer.json()["model"]["version"])] += 1
