"""A dataset of cars, some of which are too fast, and a decision about them."""

from __future__ import annotations

from datetime import date

from include.data.quarantine.queue import ReviewAction
from include.declarations import Column, Dataset, FileSource

ONE = date(2013, 1, 1)
TWO = date(2013, 1, 2)


def cars(maximum=100.0, **changes):
    columns = (
        Column(name="id", dtype="string"),
        Column(name="speed", dtype="number", maximum=maximum, nullable=True),
        Column(name="doors", dtype="integer", nullable=True, maximum_nulls=1),
        Column(name="seen", dtype="timestamp", nullable=True, maximum_nulls=1),
    )
    values = {
        "name": "cars", "owner": "ann", "description": "Cars.", "columns": columns, "key": ("id",),
        "source": FileSource(path="cars/{partition}.csv"), "first_partition": ONE, "quarantine_limit": 0.5,
    }  # fmt: skip
    return Dataset(**values | changes)


def decision(run="cars_quarantine/one", comment="the limit was too low"):
    return ReviewAction("bob", run, comment)


def published(lake, day=ONE):
    return sorted(lake.read("cars", [day])["id"])
