"""A process that releases refused rows, and may be killed while it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.data.lake.delta_tables import Lake
from include.data.quarantine.queue import Quarantine, RowFilter
from include.data.quarantine.release import release_rows
from include.database.tables import connect
from tests.include.data.quarantine.cars import ONE, cars, decision

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event


def release(uri: str, url: str, run: str, begun: Event) -> None:
    """Release the cars of the first day that are no longer too fast."""
    queue = Quarantine(cars(maximum=300.5), Lake(uri), connect(url))
    begun.set()
    release_rows(queue, RowFilter(first=ONE), decision(run))
