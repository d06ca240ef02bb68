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

    from airworthy.hooks.sources import SourceHook
    from include.partitions import Partition


class LandingTrigger(BaseTrigger):
    """
    Fires when the source has all `partitions` (`missing` is empty), or after `timeout` seconds.

    A source that does not answer is checked again. If it cannot be used as it is configured, or there is no
    such dataset, the trigger fires at once, with the `problem` and with `permanent` set. Each check is by the
    present declaration, so that a corrected path is seen while the trigger waits.
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

        missing = list(self.partitions)
        hook: SourceHook | None = None
        deadline = time.monotonic() + self.timeout
        while True:
            problem = ""
            permanent = False
            try:
                hook = _hook_of(self.dataset, self.lake_conn_id, hook)
                # Reads the connections once.
                await sync_to_async(hook.open)()
                missing = await asyncio.to_thread(_missing_names, hook, missing)
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
                "missing": missing,
                "location": _location(hook, missing) if hook and missing else "",
                "problem": problem,
                "permanent": permanent,
            }
        )


def _hook_of(name: str, lake_conn_id: str, earlier: SourceHook | None) -> SourceHook:
    """Return the hook of the dataset as it is declared now, which is the earlier one if nothing changed."""
    from airworthy.hooks.sources import SourceHook
    from include.catalog import refresh_catalog

    datasets = refresh_catalog().datasets
    # A file that is being written is invalid for a moment.
    if earlier and datasets.get(name) in (None, earlier.dataset):
        return earlier
    return SourceHook(datasets[name], lake_conn_id)


def _missing_names(hook: SourceHook, names: list[str]) -> list[str]:
    partitions: list[Partition] = []
    for name in names:
        partitions.extend(hook.dataset.calendar.parse(name))
    return [format_partition(partition) for partition in hook.missing(partitions)]


def _location(hook: SourceHook, names: list[str]) -> str:
    return hook.location(hook.dataset.calendar.parse(names[0])[0])
