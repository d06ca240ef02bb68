"""Stability: comparison of a partition with those before it."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.data.lake.partition_columns import with_partition_columns
from include.data.quality_gate import history_checks
from include.data.validation.batch import Batch
from include.data.validation.checks.stability import History, read_history
from include.data.validation.page import render_quality_page
from include.data.validation.runner import GateChecks, PartitionRules, validate_partition
from include.declarations import Column, Dataset, FileSource, Stability
from include.partitions import hours_of

FIRST = date(2013, 1, 1)
SPEED = Column(name="speed", dtype="number")
KIND = Column(name="kind", dtype="string", nullable=True)
SEEN = Column(name="seen", dtype="timestamp", within=timedelta(hours=6))


def day(number):
    return FIRST + timedelta(days=number)


def cars(number, count=300, **changes):
    random = np.random.default_rng(number)
    hours = pd.Timestamp(day(number), tz="UTC") + pd.to_timedelta(np.arange(count) % 24, unit="h")
    values = {
        "id": [f"{number}/{row}" for row in range(count)],
        "speed": random.normal(50, 10, count),
        "kind": random.choice(["a", "b", "c"], count),
        "seen": hours.as_unit("us"),
        "_airworthy_day": f"{day(number)}",
    }
    return pd.DataFrame(values | changes)


def declared(**changes):
    values = {
        "name": "cars", "owner": "ann", "description": "Cars.", "key": ("id",), "first_partition": FIRST,
        "columns": (Column(name="id", dtype="string"), SPEED, KIND, SEEN),
        "source": FileSource(path="cars/{partition}.csv"),
        "stability": Stability(
            partitions=10, minimum_partitions=3, volume=(0.6, 1.6), columns=("speed", "kind")
        ),
    }  # fmt: skip
    return Dataset(**values | changes)


def validate(frame, lake, *numbers, dataset=None, limit=0.5):
    dataset = dataset or declared()
    days = [day(number) for number in numbers]
    rules = PartitionRules(dataset.columns, dataset.key, dataset.volume, limit)
    checks = GateChecks(
        history=history_checks(dataset, lake, days),
        sampled=dataset.stability.columns if dataset.stability else (),
    )
    report = validate_partition(Batch.of(frame, days), rules, checks)
    assert "Data documentation" in render_quality_page(report, "cars")
    return report


def failures(report):
    return {result.severity: result for result in report.results if not result.success}


@pytest.fixture
def history(lake):
    """Return the lake with cars of the first five days."""
    days = [day(number) for number in range(5)]
    lake.publish("cars", pd.concat([cars(number) for number in range(5)]), days, metadata={})
    return lake


def test_partition_like_those_before_it_passes_as_compared(history):
    report = validate(cars(5), history, 5)
    assert (report.passed, failures(report)) == (True, {})
    compared = {result.column for result in report.results}
    assert {"rows_against_usual", "stability_index_of_speed", "stability_index_of_kind"} <= compared


@pytest.mark.parametrize(("count", "share"), [(150, "half"), (3_000, "ten times")])
def test_unusual_number_of_rows_is_refused_within_the_volume(history, count, share):
    report = validate(cars(5, count), history, 5)
    assert not report.passed, share
    failed = failures(report)["critical"]
    assert failed.message == "a partition has not 0.6 to 1.6 times the usual rows"
    assert failed.examples == (f"2013-01-06: {count:,} rows, usually 300",)


@pytest.mark.parametrize("count", [0, 5, 3_000])
def test_rows_where_there_usually_are_none_pass_with_remark(lake, count):
    days = [day(number) for number in range(5)]
    lake.publish("cars", cars(0, 0), days, metadata={})
    report = validate(cars(5, count), lake, 5, dataset=declared(volume=(0, 5_000)))
    assert report.passed
    assert failures(report)["info"].examples[0] == "2013-01-06: usually 0 rows"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"speed": np.random.default_rng(9).normal(70, 10, 300)}, "speed"),
        ({"kind": np.random.default_rng(9).choice(["a", "z"], 300)}, "kind"),
        ({"kind": [None] * 200 + ["a", "b", "c", "a"] * 25}, "kind"),
    ],
    ids=["shifted", "new kinds", "nulls"],
)
def test_other_distribution_is_refused(history, changes, column):
    report = validate(cars(5, **changes), history, 5)
    assert not report.passed
    failed = failures(report)["critical"]
    assert failed.message == f"{column} is distributed otherwise than in the partitions before"
    assert failed.examples[0].startswith("2013-01-06: ")


def test_stability_warning_refuses_nothing(history):
    stability = Stability(partitions=10, minimum_partitions=3, volume=(0.6, 1.6), severity="warning")
    report = validate(cars(5, 100), history, 5, dataset=declared(stability=stability))
    assert report.passed
    assert failures(report)["warning"].column == "rows_against_usual"


def test_too_little_history_passes_with_information(lake):
    lake.publish("cars", cars(0), [day(0)], metadata={})
    report = validate(cars(1, 7), lake, 1)
    information = failures(report)["info"]
    assert (report.passed, information.blocking) == (True, False)
    assert information.message.startswith("there is too little to compare with (3 partitions are needed")
    assert information.examples == ("2013-01-02: 1 partitions before it",)


def test_too_few_rows_pass_with_information(history):
    days = [day(number) for number in range(5)]
    history.publish("cars", pd.concat([cars(number, 100) for number in range(5)]), days, metadata={})
    report = validate(cars(5, 100, speed=500.0), history, 5)
    assert report.passed
    assert failures(report)["info"].examples[0] == "2013-01-06, speed: 100 rows to compare"


def test_backfill_is_compared_with_earlier_partitions_only(history):
    later = [day(number) for number in range(5, 12)]
    history.publish("cars", pd.concat([cars(number, 30) for number in range(5, 12)]), later, metadata={})
    assert validate(cars(5), history, 5).passed
    assert validate(cars(4, 300), history, 4).passed
    assert not validate(cars(4, 30), history, 4).passed


def test_bulk_run_compares_its_days_with_its_earlier_ones(lake):
    parts = [cars(number, 300 if number != 6 else 100) for number in range(9)]
    report = validate(pd.concat(parts, ignore_index=True), lake, *range(9))
    assert not report.passed
    assert failures(report)["critical"].examples == ("2013-01-07: 100 rows, usually 300",)


def test_reference_is_bounded_but_has_enough_partitions(history, monkeypatch):
    monkeypatch.setattr("include.data.validation.checks.stability.REFERENCE_ROWS", 300)
    past = read_history(history, declared(), [day(5)])
    assert len(past.profiles) == 5 // (5 // 3)
    assert validate(cars(5), history, 5).passed


def test_column_that_the_table_has_not_passes_with_information(history):
    frame = cars(5).assign(lane=np.arange(300.0))
    report = validate(frame, history, 5, dataset=watching_lane())
    assert report.passed
    assert failures(report)["info"].examples == ("2013-01-06, lane: 0 partitions with values before it",)


def test_newly_watched_column_is_compared_once_it_has_history(history):
    lanes = [cars(number).assign(lane=np.arange(300.0)) for number in range(5, 9)]
    for number in (5, 6):
        history.publish("cars", lanes[number - 5], [day(number)], metadata={})
    report = validate(lanes[2], history, 7, dataset=watching_lane())
    assert report.passed
    assert failures(report)["info"].examples == ("2013-01-08, lane: 2 partitions with values before it",)
    history.publish("cars", lanes[2], [day(7)], metadata={})
    assert failures(validate(lanes[3], history, 8, dataset=watching_lane())) == {}
    shifted = lanes[3].assign(lane=500.0)
    assert not validate(shifted, history, 8, dataset=watching_lane()).passed


def watching_lane():
    columns = (*declared().columns, Column(name="lane", dtype="number", nullable=True))
    stability = Stability(partitions=10, minimum_partitions=3, columns=("lane",))
    return declared(columns=columns, stability=stability)


def seasonal(compare_with="all", granularity="day"):
    stability = Stability(partitions=4, minimum_partitions=2, volume=(0.6, 1.6), compare_with=compare_with)
    return declared(stability=stability, granularity=granularity)


def test_weekend_is_compared_with_weekends_where_declared(lake):
    counts = {number: 40 if day(number).weekday() > 4 else 300 for number in range(28)}
    days = [day(number) for number in range(26)]
    parts = [cars(number, counts[number]) for number in range(26)]
    lake.publish("cars", pd.concat(parts), days, metadata={})
    saturday = next(number for number in (26, 25, 24) if day(number).weekday() == 5)
    by_weekday = seasonal("same_weekday")
    assert not validate(cars(saturday, 40), lake, saturday, dataset=seasonal()).passed
    assert validate(cars(saturday, 40), lake, saturday, dataset=by_weekday).passed
    assert not validate(cars(saturday, 300), lake, saturday, dataset=by_weekday).passed


def test_hour_is_compared_with_the_same_hour(lake):
    hours = [*hours_of(day(0)), *hours_of(day(1)), *hours_of(day(2)), *hours_of(day(3))]
    frames = [rows_of_hour(hour) for hour in hours]
    lake.publish("cars", pd.concat(frames), hours, metadata={})
    hourly = seasonal("same_hour", "hour")
    night = hours_of(day(4))[2]
    for count, passed in ((5, True), (50, False)):
        frame = rows_of_hour(night, count)
        rules = PartitionRules(hourly.columns, hourly.key, hourly.volume, 0.5)
        checks = GateChecks(history=history_checks(hourly, lake, [night]))
        report = validate_partition(Batch.of(frame, [night]), rules, checks)
        assert report.passed is passed


def rows_of_hour(hour, count=None):
    n_rows = count or (5 if hour.hour < 6 else 50)
    frame = cars((hour.date() - FIRST).days, n_rows, seen=pd.Timestamp(hour).as_unit("us"))
    return with_partition_columns(frame.drop(columns="_airworthy_day"), hour)


def test_history_without_declared_stability_is_empty(lake):
    assert read_history(lake, declared(stability=None), [FIRST]) == History()
