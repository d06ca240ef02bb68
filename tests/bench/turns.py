"""Several actions that one process measures in turns."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURNS = 3


def measure_in_turns(*actions: Callable[[], object]) -> list[dict[str, float]]:
    """
    Return the median seconds of each action by clock; the first turn warms up and is not counted.

    The clocks are the CPU time of this process, which other work on the machine hardly changes, that of the
    processes that it started and that have ended, and the time that passed.
    """
    seconds: list[list[tuple[float, ...]]] = [[] for _ in actions]
    for turn in range(TURNS + 1):
        for action, values in zip(actions, seconds, strict=True):
            began = _read_clocks()
            action()
            if turn:
                values.append(tuple(end - start for end, start in zip(_read_clocks(), began, strict=True)))
    medians = [map(statistics.median, zip(*values, strict=True)) for values in seconds]
    return [dict(zip(("cpu", "children", "wall"), values, strict=True)) for values in medians]


def _read_clocks() -> tuple[float, float, float]:
    times = os.times()
    return times.user + times.system, times.children_user + times.children_system, time.perf_counter()
