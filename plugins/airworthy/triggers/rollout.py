"""Watch a rollout without holding a worker."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Engine

    from include.release.progress import Progress

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
        self.settings = {
            "use_case": use_case,
            "version": version,
            "since": since,
            "airworthy_conn_id": airworthy_conn_id,
            "patience": patience,
            "bake": bake,
            "minimum_requests": minimum_requests,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.settings

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the database twice a second."""
        from airworthy.hooks.airworthy_database import url_of
        from include.schema import connect

        connection = await BaseHook.aget_connection(self.settings["airworthy_conn_id"])
        engine = connect(url_of(connection))
        try:
            yield TriggerEvent(await self._watch(engine))
        finally:
            engine.dispose()

    async def _watch(self, engine: Engine) -> dict[str, Any]:
        started, live_since = time.monotonic(), None
        while True:
            progress = await asyncio.to_thread(self._progress, engine)
            moment = time.monotonic()
            live_since = (live_since or moment) if progress.live else None
            baked = live_since is not None and moment - live_since >= self.settings["bake"]
            enough = progress.requests >= self.settings["minimum_requests"]
            if (baked and enough) or moment - started > self.settings["patience"]:
                return {
                    "live": progress.live,
                    "reason": progress.reason,
                    "address": progress.address,
                    "requests": progress.requests,
                }
            await asyncio.sleep(POLL_SECONDS)

    def _progress(self, engine: Engine) -> Progress:
        from include.release.progress import progress

        since = datetime.fromisoformat(self.settings["since"])
        return progress(engine, self.settings["use_case"], self.settings["version"], since=since)
