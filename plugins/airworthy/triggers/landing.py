"""Watch the landing folder without holding a worker."""

from __future__ import annotations

import asyncio
import time
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class LandingTrigger(BaseTrigger):
    """Fires when the files of all `days` are there (`missing` is empty), or when `patience` seconds are over."""

    def __init__(
        self, dataset: str, days: list[str], lake_conn_id: str, poll_interval: float, patience: float
    ) -> None:
        super().__init__()
        self.settings = {
            "dataset": dataset,
            "days": days,
            "lake_conn_id": lake_conn_id,
            "poll_interval": poll_interval,
            "patience": patience,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", self.settings

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every few seconds; looking may block, so it does so beside the loop."""
        from asgiref.sync import sync_to_async

        from airworthy.hooks.lake import LakeHook

        landing = await sync_to_async(lambda: LakeHook(self.settings["lake_conn_id"]).landing)()
        days = [date.fromisoformat(day) for day in self.settings["days"]]
        deadline = time.monotonic() + self.settings["patience"]
        while True:
            days = await asyncio.to_thread(landing.missing, self.settings["dataset"], days)
            if not days or time.monotonic() > deadline:
                break
            await asyncio.sleep(self.settings["poll_interval"])
        path = landing.path(self.settings["dataset"], days[0]) if days else ""
        yield TriggerEvent({"missing": [str(day) for day in days], "path": path})
