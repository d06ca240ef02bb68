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
    """Fires when the files of all `days` are there (`missing` is empty), or after `patience` seconds."""

    def __init__(
        self, dataset: str, days: list[str], lake_conn_id: str, poll_interval: float, patience: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dataset = dataset
        self.days = days
        self.lake_conn_id = lake_conn_id
        self.poll_interval = poll_interval
        self.patience = patience

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        names = ("dataset", "days", "lake_conn_id", "poll_interval", "patience")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every few seconds; looking may block, so it does so beside the loop."""
        from asgiref.sync import sync_to_async

        from airworthy.hooks.lake import LakeHook
        from include.catalog import catalog

        landing = await sync_to_async(lambda: LakeHook(self.lake_conn_id).landing)()
        dataset = catalog().datasets[self.dataset]
        days = [date.fromisoformat(day) for day in self.days]
        deadline = time.monotonic() + self.patience
        while True:
            days = await asyncio.to_thread(landing.missing, dataset, days)
            if not days or time.monotonic() > deadline:
                break
            await asyncio.sleep(self.poll_interval)
        path = landing.path(dataset, days[0]) if days else ""
        yield TriggerEvent({"missing": [str(day) for day in days], "path": path})
