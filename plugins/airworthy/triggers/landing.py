"""Trigger that waits for partitions in their source without occupying a worker."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.errors import AirworthyError, ServiceUnavailable
from include.partitions import format_partition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from include.partitions import Partition


class LandingTrigger(BaseTrigger):
    """
    Fires when the source has all `partitions` (`missing` is empty), or after `timeout` seconds.

    A source that does not answer is checked again. If it cannot be used as it is configured, the trigger
    fires at once, with the `problem` and with `permanent` set.
    """

    def __init__(
        self, dataset: str, partitions: list[str], lake_conn_id: str, poll_interval: float, timeout: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dataset = dataset
        self.partitions = partitions
        self.lake_conn_id = lake_conn_id
        self.poll_interval = poll_interval
        self.timeout = timeout

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the import path and the arguments of this trigger."""
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        names = ("dataset", "partitions", "lake_conn_id", "poll_interval", "timeout")
        return path, {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Check the source periodically, in a thread, since the check may block."""
        from asgiref.sync import sync_to_async

        from airworthy.hooks.sources import SourceHook
        from include.catalog import catalog

        dataset = catalog().datasets[self.dataset]
        hook = SourceHook(dataset, self.lake_conn_id)
        # Reads the connections once.
        await sync_to_async(lambda: (hook.source, hook.bucket))()
        missing: list[Partition] = []
        for name in self.partitions:
            missing.extend(dataset.calendar.parse(name))
        deadline = time.monotonic() + self.timeout
        permanent = False
        while True:
            problem = ""
            try:
                missing = await asyncio.to_thread(hook.missing, missing)
            except ServiceUnavailable as error:
                problem = str(error)
            except AirworthyError as error:
                problem = str(error)
                permanent = True
            if not missing or permanent or time.monotonic() > deadline:
                break
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent(
            {
                "missing": [format_partition(partition) for partition in missing],
                "location": hook.location(missing[0]) if missing else "",
                "problem": problem,
                "permanent": permanent,
            }
        )
