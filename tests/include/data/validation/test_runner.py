from __future__ import annotations

import json
from datetime import UTC, date, datetime

import great_expectations.expectations as gxe
import numpy as np
import pandas as pd
import pytest

from include.catalog import catalog
from include.data.quarantine.rows import from_record, to_record
from include.data.reading import misfit_causes as causes
from include.data.reading.raw import display
from include.data.reading.values import plain
from include.data.validation.batch import Batch
from include.data.validation.expectations import declared_expectations
from include.data.validation.page import render_quality_page
from include.data.validation.runner import PartitionRules, validate_partition
from include.declarations import Column
from include.errors import DataError, QualityFailed

NOW = datetime(2013, 1, 4, tzinfo=UTC)
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
            "_airworthy_day": np.repeat([day.isoformat() for day in DAYS], 10),
        }
    )


def validate(frame, *, columns=COLUMNS, key=("id",), volume=(5, 12), limit=0.2):
    return validate_partition(Batch.of(frame, DAYS), PartitionRules(columns, key, volume, limit))


def with_value(column, row, value):
    def change(frame):
        values = frame[column].astype(object)
        values[row] = value
        return frame.assign(**{column: values})

    return change


def test_good_rows_are_accepted_in_their_declared_types(good):
    report = validate(good)
    report.raise_if_failed("flights")
    assert (report.passed, report.rows, len(report.quarantined)) == (True, 20, 0)
    assert [result for result in report.results if not result.success] == []
    assert {name: str(dtype) for name, dtype in report.accepted.dtypes.items()} == {
        "_airworthy_day": "object", "id": "object", "speed": "float64", "origin": "object", "gust": "float64",
        "stops": "Int64", "seen": "datetime64[us, UTC]", "delay": "float64",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (with_value("speed", 3, 1048.36), "speed is not between 0 and 150"),
        (with_value("speed", 3, np.inf), f"speed is no number: it is {causes.NUMBER_RANGE}"),
        (with_value("gust", 3, -np.inf), f"gust is no number: it is {causes.NUMBER_RANGE}"),
        (with_value("speed", 3, np.nan), "speed is null"),
        (with_value("speed", 3, None), "speed is null"),
        (with_value("speed", 3, "fast"), f"speed is no number: it is {causes.TEXT}"),
        (with_value("speed", 3, True), f"speed is no number: it is {causes.TRUTH}"),
        (with_value("stops", 3, 1.5), f"stops is no integer: it is {causes.FRACTION}"),
        (with_value("stops", 3, 11), "stops is not between 0 and 9"),
        (with_value("seen", 3, pd.Timestamp("2013-01-01")), f"seen is no timestamp: it is {causes.NO_ZONE}"),
        (with_value("seen", 3, pd.NaT), "seen is null"),
        (with_value("origin", 3, "SFO"), "origin is none of EWR, JFK"),
        (with_value("origin", 3, None), "origin is null"),
        (with_value("id", 3, None), "id is null"),
        (with_value("id", 3, ["f3"]), f"id is no string: it is {causes.OTHER}"),
        (with_value("id", 3, 3), f"id is no string: it is {causes.NUMBER}"),
    ],
)
def test_bad_row_is_quarantined_as_it_came_with_the_reason(good, spoil, reason):
    frame = spoil(good)
    report = validate(frame)
    assert report.passed
    assert list(report.quarantined["_reasons"]) == [reason]
    (row,) = from_record(to_record(report.rejected_batch, run="a/1", at=NOW)).to_dict("records")
    assert {name: display(value) for name, value in row.items()} == {
        name: display(plain(value)) for name, value in frame.iloc[3].items()
    }
    assert list(report.accepted["id"]) == [name for name in good["id"] if name != "f3"]
    json.dumps(report.as_json(), allow_nan=False)
    assert "speed" in render_quality_page(report, "flights")


def test_own_expectations_reject_rows_or_the_partition(good):
    rules = PartitionRules(COLUMNS, ("id",), (5, 12), 0.2, declared_expectations(f"{__name__}:own_rules"))
    batch = Batch.of(with_value("speed", 2, 1.0)(with_value("gust", 2, 9.0)(good.assign(gust=-1.0))), DAYS)
    report = validate_partition(batch, rules)
    assert report.passed
    assert list(report.quarantined["_reasons"]) == ["a gust is slower than the car"]
    blocked = validate_partition(Batch.of(good.assign(speed=140.0), DAYS), rules)
    assert not blocked.passed
    assert "expect_column_mean_to_be_between(speed)" in blocked.failed["critical"]


def own_rules():
    return [
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="speed",
            column_B="gust",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            description="a gust is slower than the car",
        ),
        gxe.ExpectColumnMeanToBeBetween(column="speed", max_value=100),
    ]


def test_row_with_several_faults_is_rejected_once(good):
    report = validate(
        with_value("speed", 3, -1.0)(with_value("origin", 3, "SFO")(good)).set_index(np.zeros(20, int))
    )
    assert list(report.quarantined["_reasons"]) == [
        "speed is not between 0 and 150; origin is none of EWR, JFK"
    ]


def test_warning_keeps_the_row_and_is_recorded(good):
    report = validate(with_value("delay", 3, 600.0)(good))
    warned = [result for result in report.results if not result.success]
    assert (report.passed, len(report.accepted)) == (True, 20)
    assert [(result.column, result.severity, result.failed_rows, result.examples) for result in warned] == [
        ("delay", "warning", 1, (600.0,))
    ]


@pytest.mark.parametrize(
    ("spoil", "message"),
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
        (with_value("id", 3, "f4"), r"the key \(id\) is there more than once"),
        (with_value("_airworthy_day", 3, "2013-01-03"), "a row is of a day that was not asked for"),
        (with_value("_airworthy_day", 3, None), "a row has no day"),
        (lambda frame: frame.assign(speed=frame["speed"].mask(frame.index < 3, -1)), "2013-01-01: 0.3"),
    ],
    ids=[
        "no column", "no key", "all null", "no zone", "nothing", "too few", "a day missing", "too many",
        "key twice", "another day", "no day", "too many bad rows in one day of two",
    ],
)  # fmt: skip
def test_bad_partition_is_refused(good, spoil, message):
    report = validate(spoil(good))
    assert not report.passed
    with pytest.raises(QualityFailed, match=rf"flights: refused \d+ rows, nothing was published.*{message}"):
        report.raise_if_failed("flights")


def test_same_key_on_two_days_passes(good):
    assert validate(with_value("id", 13, "f3")(good)).passed


def test_error_names_number_examples_and_remedy(good):
    speeds = [*range(200, 208), *range(12)]
    with pytest.raises(QualityFailed) as caught:
        validate(good.assign(speed=[float(speed) for speed in speeds])).raise_if_failed("weather")
    assert "(8 times, for example 200.0 in row 1, 201.0 in row 2, 202.0 in row 3)" in str(caught.value)
    assert "Have the source corrected and run the partition again" in str(caught.value)


def test_check_that_cannot_be_run_refuses_the_partition(good):
    origin = Column(name="origin", dtype="string", severity="info").model_copy(update={"minimum": 3})
    silly = (*COLUMNS[:2], origin)
    report = validate(good, columns=silly)
    with pytest.raises(QualityFailed, match="could not be checked"):
        report.raise_if_failed("flights")


def test_rows_without_a_day_column_are_an_error(good):
    with pytest.raises(DataError, match="need a column `_airworthy_day`"):
        validate(good.drop(columns="_airworthy_day"))
    with pytest.raises(DataError, match="each column once"):
        validate(pd.concat([good, good[["speed"]]], axis=1))


def test_real_weather_passes_except_an_absurd_wind_speed(real_frames, good):
    declared = catalog().datasets["weather"]
    frame = real_frames["weather"]
    frame = frame.assign(wind_speed=frame["wind_speed"].mask(frame.index == 7, 1048.36058))
    report = validate_partition(Batch.of(frame, REAL_DAYS), PartitionRules.of(declared))
    report.raise_if_failed("weather")
    assert list(report.quarantined["_reasons"]) == ["wind_speed is not between 0 and 150"]


@pytest.mark.parametrize("name", ["flights", "arrivals"])
def test_real_days_pass_without_rejected_rows(real_frames, name):
    declared = catalog().datasets[name]
    report = validate_partition(Batch.of(real_frames[name], REAL_DAYS), PartitionRules.of(declared))
    assert (report.passed, len(report.quarantined)) == (True, 0)
