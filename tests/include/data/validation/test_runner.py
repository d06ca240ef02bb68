from __future__ import annotations

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog
from include.data.validation.batch import Batch
from include.data.validation.page import render_quality_page
from include.data.validation.runner import PartitionRules, validate_partition
from include.declarations import Column
from include.errors import DataError, QualityFailed

DAYS = [date(2013, 1, 1), date(2013, 1, 2)]
REAL_DAYS = [date(2013, 1, day) for day in (1, 2, 3)]
COLUMNS = (
    Column(name="id", dtype="string"),
    Column(name="speed", dtype="number", minimum=0, maximum=150),
    Column(name="origin", dtype="string", allowed=("EWR", "JFK")),
    Column(name="gust", dtype="number", nullable=True),
    Column(name="stops", dtype="integer", nullable=True, minimum=0, maximum=9),
    Column(name="seen", dtype="timestamp"),
    Column(name="delay", dtype="number", nullable=True, maximum=60, severity="warning"),
)


@pytest.fixture
def good():
    """Twenty good rows, ten a day."""
    numbers = np.arange(20)
    return pd.DataFrame(
        {
            "id": [f"f{number}" for number in numbers],
            "speed": numbers * 1.0,
            "origin": "EWR",
            "gust": [np.nan, 3.0] * 10,
            "stops": pd.array([1, None] * 10, dtype="Int64"),
            "seen": pd.Timestamp("2013-01-01", tz="UTC"),
            "delay": 5.0,
            "day": np.repeat([day.isoformat() for day in DAYS], 10),
        }
    )


def judge(frame, *, columns=COLUMNS, key=("id",), volume=(5, 12), limit=0.2):
    return validate_partition(Batch.of(frame, DAYS), PartitionRules(columns, key, volume, limit))


def put(column, row, value):
    def change(frame):
        values = frame[column].astype(object)
        values[row] = value
        return frame.assign(**{column: values})

    return change


def test_lets_good_rows_through_in_their_declared_types(good):
    report = judge(good)
    report.raise_if_failed("flights")
    assert (report.passed, report.rows, len(report.quarantined)) == (True, 20, 0)
    assert [result for result in report.results if not result.success] == []
    assert {name: str(dtype) for name, dtype in report.accepted.dtypes.items()} == {
        "day": "object", "id": "object", "speed": "float64", "origin": "object", "gust": "float64",
        "stops": "Int64", "seen": "datetime64[us, UTC]", "delay": "float64",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (put("speed", 3, 1048.36), "speed is not between 0 and 150"),
        (put("speed", 3, np.inf), "speed is not between 0 and 150"),
        (put("speed", 3, -np.inf), "speed is not between 0 and 150"),
        (put("gust", 3, np.inf), "gust is not finite"),
        (put("speed", 3, np.nan), "speed is null"),
        (put("speed", 3, None), "speed is null"),
        (put("speed", 3, "fast"), "speed is no number"),
        (put("speed", 3, True), "speed is no number"),
        (put("stops", 3, 1.5), "stops is no integer"),
        (put("stops", 3, 11), "stops is not between 0 and 9"),
        (put("seen", 3, pd.Timestamp("2013-01-01")), "seen is no timestamp"),
        (put("seen", 3, pd.NaT), "seen is null"),
        (put("origin", 3, "SFO"), "origin is none of EWR, JFK"),
        (put("origin", 3, None), "origin is null"),
        (put("id", 3, None), "id is null"),
        (put("id", 3, ["f3"]), "id is no string"),
        (put("id", 3, 3), "id is no string"),
    ],
)
def test_a_bad_row_is_quarantined_as_it_came_with_the_reason(good, spoil, reason):
    frame = spoil(good)
    report = judge(frame)
    assert report.passed
    assert list(report.quarantined["_reasons"]) == [reason]
    pd.testing.assert_frame_equal(report.quarantined.drop(columns=["_reasons", "_failed"]), frame.iloc[[3]])
    assert list(report.accepted["id"]) == [name for name in good["id"] if name != "f3"]
    json.dumps(report.as_json(), allow_nan=False)
    assert "speed" in render_quality_page(report, "flights")


def test_a_row_with_several_faults_is_quarantined_once_with_all_reasons(good):
    report = judge(put("speed", 3, -1.0)(put("origin", 3, "SFO")(good)).set_index(np.zeros(20, int)))
    assert list(report.quarantined["_reasons"]) == [
        "speed is not between 0 and 150; origin is none of EWR, JFK"
    ]


def test_a_warning_keeps_the_row_and_is_written_down(good):
    report = judge(put("delay", 3, 600.0)(good))
    warned = [result for result in report.results if not result.success]
    assert (report.passed, len(report.accepted)) == (True, 20)
    assert [(result.column, result.severity, result.failed_rows, result.examples) for result in warned] == [
        ("delay", "warning", 1, (600.0,))
    ]


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda frame: frame.drop(columns="speed"), r"to_exist\(speed\): there is no column speed"),
        (lambda frame: frame.drop(columns="id"), "there is no column id"),
        (lambda frame: frame.assign(speed=np.nan), "more than 20.0% of a day's rows were refused"),
        (lambda frame: frame.assign(seen=pd.Timestamp("2013-01-01")), "seen is no timestamp"),
        (lambda frame: frame.iloc[:0], "a day does not have 5 to 12 good rows .*for example 2013-01-01: 0"),
        (lambda frame: frame.iloc[:14], "a day does not have 5 to 12 good rows .*for example 2013-01-02: 4"),
        (lambda frame: frame.iloc[:10], "a day does not have 5 to 12 good rows .*for example 2013-01-02: 0"),
        (
            lambda frame: pd.concat([frame, frame.iloc[:3].assign(id=["x", "y", "z"])], ignore_index=True),
            "for example 2013-01-01: 13",
        ),
        (put("id", 3, "f4"), r"the key \(id\) is there more than once"),
        (put("day", 3, "2013-01-03"), "a row is of a day that was not asked for"),
        (put("day", 3, None), "a row has no day"),
        (lambda frame: frame.assign(speed=frame["speed"].mask(frame.index < 3, -1)), "2013-01-01: 0.3"),
    ],
    ids=[
        "no column", "no key", "all null", "no zone", "nothing", "too few", "a day missing", "too many",
        "key twice", "another day", "no day", "too many bad rows in one day of two",
    ],
)  # fmt: skip
def test_a_bad_partition_is_refused(good, spoil, complaint):
    report = judge(spoil(good))
    assert not report.passed
    with pytest.raises(
        QualityFailed, match=rf"flights: refused \d+ rows, nothing was published.*{complaint}"
    ):
        report.raise_if_failed("flights")


def test_the_same_key_on_two_days_is_two_rows(good):
    assert judge(put("id", 13, "f3")(good)).passed


def test_the_error_says_how_many_which_and_what_to_do(good):
    speeds = [*range(200, 208), *range(12)]
    with pytest.raises(QualityFailed) as caught:
        judge(good.assign(speed=[float(speed) for speed in speeds])).raise_if_failed("weather")
    assert "speed is not between 0 and 150 (8 times, for example 200.0, 201.0, 202.0)" in str(caught.value)
    assert "Have the source corrected and run the partition again" in str(caught.value)


def test_what_cannot_be_checked_is_a_failure(good):
    silly = (*COLUMNS[:2], Column(name="origin", dtype="string", minimum=3, severity="info"))
    report = judge(good, columns=silly)
    with pytest.raises(QualityFailed, match="could not be checked"):
        report.raise_if_failed("flights")


def test_needs_to_know_the_day_of_each_row(good):
    with pytest.raises(DataError, match="need a column `day`"):
        judge(good.drop(columns="day"))
    with pytest.raises(DataError, match="each column once"):
        judge(pd.concat([good, good[["speed"]]], axis=1))


def test_real_weather_passes_but_for_the_wind_of_a_thousand_miles_an_hour(real_frames, good):
    declared = catalog().datasets["weather"]
    frame = real_frames["weather"]
    frame = frame.assign(wind_speed=frame["wind_speed"].mask(frame.index == 7, 1048.36058))
    report = validate_partition(Batch.of(frame, REAL_DAYS), PartitionRules.of(declared))
    report.raise_if_failed("weather")
    assert list(report.quarantined["_reasons"]) == ["wind_speed is not between 0 and 150"]


@pytest.mark.parametrize("name", ["flights", "arrivals"])
def test_real_days_pass_whole(real_frames, name):
    declared = catalog().datasets[name]
    report = validate_partition(Batch.of(real_frames[name], REAL_DAYS), PartitionRules.of(declared))
    assert (report.passed, len(report.quarantined)) == (True, 0)
