"""Typed values of JSON, drivers and frames."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from include.data.reading.spelling import Misfit, Spelling
from include.data.reading.values import convert

ISO = Spelling()


@pytest.mark.parametrize(
    ("value", "dtype", "converted"),
    [
        (2**63 - 1, "integer", 2**63 - 1),
        (17.0, "integer", 17),
        (Decimal("9007199254740993"), "integer", 2**53 + 1),
        ("17", "integer", 17),
        (np.int64(5), "integer", 5),
        (Decimal("0.1"), "number", 0.1),
        (float("nan"), "number", None),
        (Decimal("NaN"), "number", None),
        (pd.NA, "integer", None),
        (pd.NaT, "timestamp", None),
        (float("nan"), "string", None),
        (np.bool_(True), "boolean", True),
        (0, "boolean", False),
        (
            pd.Timestamp("2013-01-01T00:00:00.123456789Z"),
            "timestamp",
            datetime(2013, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC),
        ),
    ],
)
def test_fitting_value_is_converted_exactly(value, dtype, converted):
    assert convert(value, dtype, ISO) == converted


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (7, "string"),
        (True, "string"),
        ({"a": 1}, "string"),
        (date(2013, 1, 1), "string"),
        (True, "integer"),
        (2**63, "integer"),
        (1e300, "integer"),
        (17.5, "integer"),
        (Decimal("1e999999"), "integer"),
        (True, "number"),
        (float("inf"), "number"),
        (10**400, "number"),
        (2, "boolean"),
        (1.0, "boolean"),
        (1_356_998_400, "timestamp"),
        (datetime(2013, 1, 1), "timestamp"),
        (date(2013, 1, 1), "timestamp"),
        (np.datetime64("2013-01-01"), "timestamp"),
        (timedelta(1), "timestamp"),
    ],
)
def test_value_of_another_kind_is_a_misfit(value, dtype):
    with pytest.raises(Misfit):
        convert(value, dtype, ISO)


def test_day_begins_in_the_declared_zone():
    tokyo = Spelling(time_zone="Asia/Tokyo")
    assert convert(date(2013, 1, 2), "timestamp", tokyo) == datetime(2013, 1, 1, 15, tzinfo=UTC)
