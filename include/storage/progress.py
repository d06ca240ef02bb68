"""Progress of long steps in the log of a task."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

log = logging.getLogger(__name__)
INTERVAL_S = 10.0
Item = TypeVar("Item")


class Progress:
    """
    Log how far a step is, at most every ten seconds; a step that takes less logs nothing.

    Parameters
    ----------
    step
        What is done, such as `flights: validated`.
    total
        Number of units of the whole step; None if it is not known.
    unit
        What is counted.
    clock
        Time in seconds.
    """

    def __init__(
        self,
        step: str,
        total: int | None = None,
        *,
        unit: str = "rows",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.step = step
        self.total = total
        self.unit = unit
        self.done = 0
        self._clock = clock
        self._logged_at = clock()

    def advance(self, count: int = 1) -> None:
        """Add units that are done."""
        self.done += count
        now = self._clock()
        if now - self._logged_at < INTERVAL_S:
            return
        self._logged_at = now
        share = f" of {self.total:,}" if self.total else ""
        percent = f" ({self.done / self.total:.0%})" if self.total else ""
        log.info("%s %s%s %s%s", self.step, f"{self.done:,}", share, self.unit, percent)


def tracked(items: Iterable[Item], step: str, total: int | None = None, *, unit: str) -> Iterator[Item]:
    """Yield items and log the progress; an item is done when the next one is asked for."""
    progress = Progress(step, total, unit=unit)
    for item in items:
        yield item
        progress.advance()
