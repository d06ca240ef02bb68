"""A dataset of readings for tests of ingestions from files, a query or a service."""

from __future__ import annotations

import threading
from datetime import date, timedelta

from include.declarations import Column, Dataset, FileSource
from include.partitions import format_partition

DAY = date(2013, 7, 1)
NEXT = date(2013, 7, 2)
HEADER = "id,level\n"
GOOD = HEADER + "".join(f"r{number},{number}.5\n" for number in range(50))


def readings(source=None, **changes):
    values = {
        "name": "readings", "owner": "test", "description": "Readings.", "key": ("id",),
        "first_partition": date(2013, 1, 1), "source": source or FileSource(path="readings/{partition}.csv"),
        "columns": (Column(name="id", dtype="string"), Column(name="level", dtype="number")),
        "volume": (10, 100), "quarantine_limit": 0.1, "landing_timeout": timedelta(seconds=120),
    }  # fmt: skip
    return Dataset(**values | changes)


def later(action, seconds=0.5):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def counts(lake, table="readings"):
    return {format_partition(partition): rows for partition, rows in lake.counts(table).items()}
