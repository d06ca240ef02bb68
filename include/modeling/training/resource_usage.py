"""What a piece of work costs: seconds, CPU seconds and memory, those of child processes included."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERY = 0.2  # seconds
MEBIBYTE = 1024 * 1024


class Usage:
    """Figures of a piece of work; they are complete once it has ended."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._cpu = _cpu_seconds()
        self._own = psutil.Process()
        self._peak = 0
        self.figures: dict[str, float] = {}

    def look(self) -> None:
        """Remember how much memory this process and its children hold now, if it is the most so far."""
        total = 0
        for process in (self._own, *self._own.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self._peak = max(self._peak, total)

    def close(self) -> None:
        """Take the figures."""
        self.look()
        peak = max(self._peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        self.figures = {
            "wall_seconds": time.perf_counter() - self._began,
            "cpu_seconds": _cpu_seconds() - self._cpu,
            "peak_memory_mib": peak / MEBIBYTE,
        }


@contextmanager
def measure_usage() -> Iterator[Usage]:
    """
    Measure what runs inside.

    CPU seconds of a child count once it has ended. Memory is looked at five times a second, pages that
    processes share are counted for each, and what this process held earlier counts too.
    """
    usage, done = Usage(), Event()

    def watch() -> None:
        while not done.wait(EVERY):
            usage.look()

    watcher = Thread(target=watch, name="resources", daemon=True)
    watcher.start()
    try:
        yield usage
    finally:
        done.set()
        watcher.join()
        usage.close()


def _cpu_seconds() -> float:
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, who))
