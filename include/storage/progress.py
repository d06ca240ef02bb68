"""Progress of long steps, in the log of a task and where people can follow it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

log = logging.getLogger(__name__)
INTERVAL_S = 10.0
MAX_INTERVAL_S = 60.0
REPORT_INTERVAL_S = 2.0
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How many units of a step are done, of a `total` that may not be known."""

    step: str
    done: int
    total: int | None
    unit: str


# Gets the reports of the running task, at most one in two seconds; None where nobody follows them.
REPORTER: ContextVar[Callable[[ProgressReport], None] | None] = ContextVar("progress_reporter", default=None)


class Progress:
    """
    Log how far a step is, at most every ten seconds, and report it every two; a shorter step does neither.

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
        self._began_at = clock()
        self._logged_at = self._began_at
        self._reported_at = self._began_at
        self._reporter = REPORTER.get()

    def advance(self, count: int = 1) -> None:
        """Add units that are done."""
        self.done += count
        now = self._clock()
        if self._reporter is not None and now - self._reported_at >= REPORT_INTERVAL_S:
            self._reported_at = now
            self._reporter(ProgressReport(self.step, self.done, self.total, self.unit))
        if now - self._logged_at < INTERVAL_S:
            return
        self._logged_at = now
        share = f" of {self.total:,}" if self.total else ""
        percent = f" ({self.done / self.total:.0%})" if self.total else ""
        times = self._describe_times(now - self._began_at)
        log.info("%s %s%s %s%s, %s", self.step, f"{self.done:,}", share, self.unit, percent, times)

    def _describe_times(self, elapsed_s: float) -> str:
        """Return the time so far, and the expected rest if units go on at the same rate."""
        elapsed = f"{describe_time(elapsed_s)} so far"
        if not self.total or not 0 < self.done < self.total:
            return elapsed
        rest_s = elapsed_s * (self.total - self.done) / self.done
        return f"{elapsed}, about {describe_time(rest_s)} more"


def tracked(items: Iterable[Item], step: str, total: int | None = None, *, unit: str) -> Iterator[Item]:
    """Yield items and log the progress; an item is done when the next one is asked for."""
    progress = Progress(step, total, unit=unit)
    for item in items:
        yield item
        progress.advance()


@contextmanager
def timed_step(step: str, number: int, total: int, work: str) -> Iterator[None]:
    """
    Log how long a step without parts has run: after ten seconds, then seldomer, at least once a minute.

    An estimator's fit is one call, which says nothing while it works.

    Parameters
    ----------
    step
        What is done, such as `delay: fit on 90 rows`.
    number, total
        Number of the step, from 1 on, and of all steps of the work.
    work
        What the steps belong to, such as `the training`.
    """
    ended = threading.Event()
    report = ProgressReport(f"{step}, step {number} of {total} of {work}", number - 1, total, "steps")
    follow = (report, REPORTER.get(), ended)
    thread = threading.Thread(target=_follow_step, args=follow, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def describe_time(seconds: float) -> str:
    """Return a duration for people: in seconds, from two minutes on in minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _follow_step(
    report: ProgressReport, reporter: Callable[[ProgressReport], None] | None, ended: threading.Event
) -> None:
    start = time.monotonic()
    if ended.wait(REPORT_INTERVAL_S):
        return
    if reporter is not None:
        reporter(report)
    interval = INTERVAL_S - REPORT_INTERVAL_S
    while not ended.wait(interval):
        elapsed_s = time.monotonic() - start
        log.info("%s: %s so far", report.step, describe_time(elapsed_s))
        interval = min(max(elapsed_s, INTERVAL_S), MAX_INTERVAL_S)
