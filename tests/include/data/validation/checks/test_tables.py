"""Checks of the accepted rows together."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from include.data.validation.batch import Batch
from include.data.validation.checks.tables import (
    MissingDayCheck,
    NullsCheck,
    QuarantineLimitCheck,
    UnexpectedDayCheck,
    UnexpectedHourCheck,
    VolumeCheck,
)
from include.data.validation.statistics import AcceptedStatistics
from include.declarations import Column

DAYS = [date(2013, 1, 1), date(2013, 1, 2)]
HOUR = datetime(2013, 1, 1, 4, tzinfo=UTC)


def batch(days, **columns):
    return Batch.of(pd.DataFrame(columns | {"_airworthy_day": days}), DAYS)


def result(check, *batches):
    return check.result(AcceptedStatistics.of(batches))


def summary(result):
    return result.success, result.blocking, result.failed_rows, result.examples


def test_rows_without_a_day_and_of_another_day_block():
    rows = batch(["2013-01-01", None, "2013-01-03"])
    assert summary(MissingDayCheck().run(rows)) == (False, True, 1, ("None",))
    assert summary(UnexpectedDayCheck().run(rows)) == (False, True, 1, ("2013-01-03",))


def test_day_checks_without_rows_do_not_apply():
    assert MissingDayCheck().run(batch([])) is None
    assert UnexpectedDayCheck().run(batch([])) is None


def test_row_of_another_hour_blocks():
    frame = pd.DataFrame({"_airworthy_day": "2013-01-01", "_airworthy_hour": ["04", "05"]})
    result = UnexpectedHourCheck().run(Batch.of(frame, [HOUR]))
    assert summary(result) == (False, True, 1, ("2013-01-01T05",))
    assert result.message == "a row is of an hour that was not asked for"


def test_rows_of_requested_hours_pass():
    frame = pd.DataFrame({"_airworthy_day": "2013-01-01", "_airworthy_hour": ["04", "04"]})
    assert UnexpectedHourCheck().run(Batch.of(frame, [HOUR])).success


def test_hour_check_of_days_does_not_apply():
    assert UnexpectedHourCheck().run(batch(["2013-01-01"])) is None


def test_volume_outside_its_bounds_blocks():
    rows = batch(["2013-01-01", "2013-01-01"])
    assert summary(result(VolumeCheck((1, 2)), rows)) == (False, True, 1, ("2013-01-02: 0",))
    assert result(VolumeCheck((0, 2)), rows).success


def test_rejected_share_above_the_limit_blocks():
    rows = batch(["2013-01-01", "2013-01-01", "2013-01-02"])
    accepted = rows.select(pd.Series([True, False, True]).to_numpy())
    assert summary(result(QuarantineLimitCheck(0.4), accepted)) == (False, True, 1, ("2013-01-01: 0.5",))
    assert result(QuarantineLimitCheck(0.5), accepted).success


@pytest.mark.parametrize(("limit", "success"), [(None, False), (0.5, False), (1.0, True)])
def test_nulls_above_the_limit_of_a_partition_fail(limit, success):
    column = Column(name="gust", dtype="number", nullable=True, maximum_nulls=limit, severity="warning")
    nulls = result(NullsCheck(column), batch(["2013-01-01", "2013-01-02"], gust=[1.0, None]))
    examples = () if success else ("2013-01-02: 1 nulls of 1",)
    assert summary(nulls) == (success, False, len(examples), examples)
    assert nulls.parameters == ({} if limit is None else {"maximum_nulls": limit})
    assert nulls.observed == "1 nulls of 2"


def test_nulls_check_of_a_missing_column_does_not_apply():
    column = Column(name="gust", dtype="number", nullable=True)
    assert result(NullsCheck(column), batch(["2013-01-01"])) is None
