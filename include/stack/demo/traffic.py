"""Callers of a model, who send real flights to the gateway over HTTP, one flight per request."""

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

N_CALLERS = 8
REQUEST_TIMEOUT_S = 10
STOP_TIMEOUT_S = 30


@dataclass
class TrafficStats:
    """
    Statistics of the responses that the callers got.

    Attributes
    ----------
    statuses
        Responses by HTTP status.
    versions
        Responses with status 200 by model version.
    errors
        Requests without a response, by the name of the exception.
    latencies
        Milliseconds of each response with status 200.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Requests that have ended, with or without a response."""
        return sum(self.statuses.values()) + sum(self.errors.values())

    @property
    def failed(self) -> int:
        """Requests that have ended without a response of status 200."""
        return self.sent - self.statuses[200]

    def quantile(self, share: float) -> float:
        """Return the latency in ms that `share` of the responses stayed below; 0 without responses."""
        if not self.latencies:
            return 0.0
        position = int(share * len(self.latencies))
        return sorted(self.latencies)[min(len(self.latencies) - 1, position)]


class Traffic:
    """
    Callers in a thread of their own, which run while the `with` block does.

    Parameters
    ----------
    gateway
        Address of the gateway.
    use_case
        The model to call.
    rows
        Features by name, and the entity's key under `entity`; the callers send them again and again.
    entity
        Name of the entity's column. Its value goes into the header `X-Entity-Id`, not into the features.
    rate
        Requests per second of all callers together, which may be changed meanwhile.
    """

    def __init__(
        self, gateway: str, use_case: str, rows: Sequence[dict[str, Any]], *, entity: str, rate: float = 100.0
    ) -> None:
        self.url = f"{gateway}/models/{use_case}/invocations"
        self.rows = itertools.cycle(rows)
        self.entity = entity
        self.rate = rate
        self.stats = TrafficStats()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._call_all()), daemon=True)

    def __enter__(self) -> Self:
        """Start the callers."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the callers, and wait for the requests that have been sent."""
        self._stopping.set()
        self._thread.join(timeout=STOP_TIMEOUT_S)

    async def _call_all(self) -> None:
        async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT_S) as client:
            await asyncio.gather(*(self._call(client) for _ in range(N_CALLERS)))

    async def _call(self, client: httpx.AsyncClient) -> None:
        while not self._stopping.is_set():
            row = dict(next(self.rows))
            headers = {"X-Entity-Id": str(row.pop(self.entity))}
            started_at = time.perf_counter()
            try:
                response = await client.post(self.url, json={"dataframe_records": [row]}, headers=headers)
            except httpx.HTTPError as error:
                self.stats.errors[type(error).__name__] += 1
            else:
                self._count(response, 1000 * (time.perf_counter() - started_at))
            await asyncio.sleep(max(0.0, N_CALLERS / self.rate - (time.perf_counter() - started_at)))

    def _count(self, response: httpx.Response, milliseconds: float) -> None:
        self.stats.statuses[response.status_code] += 1
        if response.status_code == httpx.codes.OK:
            self.stats.latencies.append(milliseconds)
            self.stats.versions[int(response.json()["model"]["version"])] += 1
