"""Watch for partitions where they come from, without holding a worker."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include import partitions as names
from include.errors import AirworthyError, ServiceUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class LandingTrigger(BaseTrigger):
    """
    Fires when all `partitions` are there (`missing` is empty), or after `patience` seconds.

    A source that does not answer is asked again; one that cannot be used as it is fires at once, with its
    `problem` and `hopeless`.
    """

    def __init__(
        self, dataset: str, partitions: list[str], lake_conn_id: str, poll_interval: float, patience: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dataset = dataset
        self.partitions = partitions
        self.lake_conn_id = lake_conn_id
        self.poll_interval = poll_interval
        self.patience = patience

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer needs to make this trigger again."""
        stored = ("dataset", "partitions", "lake_conn_id", "poll_interval", "patience")
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in stored
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look every few seconds; looking may block, so it does so beside the loop."""
        from asgiref.sync import sync_to_async

        from airworthy.hooks.sources import SourceHook
        from include.catalog import catalog

        dataset = catalog().datasets[self.dataset]
        hook = SourceHook(dataset, self.lake_conn_id)
        await sync_to_async(lambda: (hook.source, hook.bucket))()  # asks for the connections, once
        missing = [
            one for name in self.partitions for one in names.parse_partition(name, dataset.granularity)
        ]
        deadline, problem, hopeless = time.monotonic() + self.patience, "", False
        while True:
            try:
                missing, problem = await asyncio.to_thread(hook.missing, missing), ""
            except ServiceUnavailable as error:
                problem = str(error)
            except AirworthyError as error:
                problem, hopeless = str(error), True
            if not missing or hopeless or time.monotonic() > deadline:
                break
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent(
            {
                "missing": [names.format_partition(one) for one in missing],
                "place": hook.location(missing[0]) if missing else "",
                "problem": problem,
                "hopeless": hopeless,
            }
        )
