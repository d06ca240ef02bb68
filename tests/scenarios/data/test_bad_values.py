"""Bad values from upstream: each is named, no partition is published in part, and no row is lost."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.data.quality_gate import run_quality_gate
from include.data.quarantine.queue import Quarantine, pending
from include.declarations import Column, Dataset, FileSource, Stability
from include.errors import QualityFailed

FIRST = date(2013, 1, 1)
ROWS = 40
DAYS = [FIRST + timedelta(days=number) for number in range(9)]
TODAY = DAYS[-1]
CARS = Dataset(
    name="cars", owner="ann", description="Cars.", source=FileSource(path="cars/{partition}.csv"),
    columns=(
        Column(name="id", dtype="string"),
        Column(name="speed", dtype="number", minimum=0, maximum=150),
        Column(name="gust", dtype="number", nullable=True),
        Column(name="seen", dtype="timestamp", within=timedelta(hours=12)),
    ),
    key=("id",), first_partition=FIRST, volume=(5, 1_000), quarantine_limit=0.1, stability=Stability(),
)  # fmt: skip


def cars(day=TODAY, count=ROWS):
    return pd.DataFrame(
        {
            "id": [f"{day}/{number}" for number in range(count)],
            "speed": [float(number % 100) for number in range(count)],
            "gust": [float(number) for number in range(count)],
            "seen": pd.Timestamp(day, tz="UTC").as_unit("us"),
            "_airworthy_day": f"{day}",
        }
    )


def perturbed(column, *bad):
    frame = cars().astype(object)
    frame[column] = [*bad, *frame[column][len(bad) :]]
    return frame.infer_objects()


@pytest.fixture
def ingest(lake, database):
    """Return a function that ingests today's cars; the eight days before are published."""
    history = pd.concat([cars(day) for day in DAYS[:-1]], ignore_index=True)
    lake.publish("cars", history, DAYS[:-1], metadata={})

    def run(frame):
        report = run_quality_gate(
            CARS, frame, [TODAY], lake=lake, engine=database, run="cars_ingestion/today/1"
        )
        report.raise_if_failed("cars")
        lake.publish("cars", report.accepted, [TODAY], metadata={})

    return run


BAD_ROWS = {
    "NaN": ("speed", np.nan, "speed is null"),
    "infinite": ("speed", np.inf, "speed is no number"),
    "minus infinite": ("gust", -np.inf, "gust is no number"),
    "an empty text for a number": ("speed", "", "speed is null"),
    "an empty key": ("id", "", "id is null"),
    "absurd": ("speed", 1e300, "speed is not between 0 and 150"),
    "another year": ("seen", pd.Timestamp("2012-01-09T10:00Z"), "seen is more than 12 hours away"),
    "the year 9999": ("seen", pd.Timestamp("2200-01-01T00:00Z"), "seen is more than 12 hours away"),
}


@pytest.mark.parametrize(("column", "bad", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_bad_value_rejects_its_row_alone_with_the_reason(ingest, lake, database, column, bad, reason):
    ingest(perturbed(column, bad))
    rows = pending(Quarantine(CARS, lake, database))
    assert len(rows) == 1
    assert reason in rows["_reasons"][0]
    assert len(lake.read("cars", [TODAY])) == ROWS - 1


def with_repeated_key(frame):
    return pd.concat([frame, frame.iloc[:1].assign(speed=1.0)], ignore_index=True)


BAD_PARTITIONS = {
    "a key twice": (with_repeated_key(cars()), r"the key \(id\) is there more than once"),
    "half the usual rows": (cars(count=20), "has not 0.6 to 1.6 times the usual rows .*20 rows, usually 40"),
    "ten times the usual rows": (cars(count=400), "times the usual rows .*400 rows, usually 40"),
    "more rows than declared": (cars(count=1_001), "a day does not have 5 to 1000 good rows"),
    "no rows": (cars().iloc[:0], "a day does not have 5 to 1000 good rows .*2013-01-09: 0"),
    "nothing but nulls": (
        cars().assign(gust=np.nan),
        "null, which maximum_nulls=1 .*40 nulls of 40",
    ),
    "required, and nothing but nulls": (cars().assign(speed=np.nan), "more than 10.0% of a day's rows"),
    "too many bad rows": (
        perturbed("speed", *[999.0] * 9),
        "speed is not between 0 and 150 .*more than 10.0%",
    ),
    "another day": (cars(DAYS[0]), "a row is of a day that was not asked for"),
    "a column missing": (cars().drop(columns="speed"), "there is no column speed"),
}


@pytest.mark.parametrize(("frame", "message"), BAD_PARTITIONS.values(), ids=BAD_PARTITIONS)
def test_bad_partition_is_refused_and_published_once_corrected(ingest, lake, frame, message):
    with pytest.raises(QualityFailed, match=rf"^cars: refused .* nothing was published\. .*{message}"):
        ingest(frame)
    assert lake.days("cars") == DAYS[:-1]
    assert len(lake.read("cars")) == ROWS * 8
    ingest(cars())
    assert len(lake.read("cars")) == ROWS * 9
