"""Watch a rollout without holding a worker."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

POLL_SECONDS = 0.5


class RolloutTrigger(BaseTrigger):
    """
    Fires once the desired state is live, `bake` seconds have passed and the version saw `minimum_requests`.

    It fires as well when `patience` seconds are over; the event says how far things had come.
    """

    def __init__(
        self,
        use_case: str,
        version: int,
        since: str,
        airworthy_conn_id: str,
        patience: float,
        bake: float = 0.0,
        minimum_requests: int = 0,
    ) -> None:
        super().__init__()
        self.use_case = use_case
        self.version = version
        self.since = since
        self.airworthy_conn_id = airworthy_conn_id
        self.patience = patience
        self.bake = bake
        self.minimum_requests = minimum_requests

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        names = ("use_case", "version", "since", "airworthy_conn_id", "patience", "bake", "minimum_requests")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the database twice a second."""
        from airworthy.hooks.airworthy_database import url_of
        from include.schema import connect

        engine = connect(url_of(await BaseHook.aget_connection(self.airworthy_conn_id)))
        try:
            yield TriggerEvent(await self._watch(engine))
        finally:
            engine.dispose()

    async def _watch(self, engine: Engine) -> dict[str, Any]:
        from include.release.progress import progress

        since = datetime.fromisoformat(self.since)
        started, live_since = time.monotonic(), None
        while True:
            found = await asyncio.to_thread(progress, engine, self.use_case, self.version, since=since)
            moment = time.monotonic()
            live_since = (live_since or moment) if found.live else None
            baked = live_since is not None and moment - live_since >= self.bake
            if (baked and found.requests >= self.minimum_requests) or moment - started > self.patience:
                return asdict(found)
            await asyncio.sleep(POLL_SECONDS)
