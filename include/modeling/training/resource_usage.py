"""Seconds, CPU seconds and memory of a piece of work, child processes included."""

from __future__ import annotations

import resource
import time
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE_INTERVAL_S = 0.2
MEBIBYTE = 1024 * 1024


# MLflow's system metrics sample too, but measure the whole machine instead of this process and its children,
# at most once a second.
class ResourceUsage:
    """
    Memory and time of a piece of work.

    `peak_bytes` is updated by every sample; `figures` is empty until the work has ended.
    """

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._start_cpu = _cpu_seconds()
        self._process = psutil.Process()
        self.peak_bytes = 0
        self.figures: dict[str, float] = {}

    def sample_memory(self) -> None:
        """Update the peak by the memory that this process and its children hold now."""
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_bytes = max(self.peak_bytes, total)

    def finish(self) -> None:
        """Set `figures`: `wall_seconds`, `cpu_seconds` and `peak_memory_mib`."""
        self.sample_memory()
        own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.figures = {
            "wall_seconds": time.perf_counter() - self._start,
            "cpu_seconds": _cpu_seconds() - self._start_cpu,
            "peak_memory_mib": max(self.peak_bytes, own_peak) / MEBIBYTE,
        }


@contextmanager
def measure_usage() -> Iterator[ResourceUsage]:
    """
    Measure the resources that the block uses.

    CPU seconds of a child process count once it has ended. Memory is sampled every 0.2 s. Shared pages count
    once for each process, and the peak includes memory that this process held before the block.
    """
    usage = ResourceUsage()
    finished = Event()

    def sample_until_finished() -> None:
        while not finished.wait(SAMPLE_INTERVAL_S):
            usage.sample_memory()

    sampler = Thread(target=sample_until_finished, name="resource-usage", daemon=True)
    sampler.start()
    try:
        yield usage
    finally:
        finished.set()
        sampler.join()
        usage.finish()


def _cpu_seconds() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
