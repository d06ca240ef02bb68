"""The selection of a part of some data by batch parameters."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from include.data.validation.batch_filter import BatchFilter, parse_batch_parameters
from include.errors import DataError

FRAME = pd.DataFrame({"id": [1, 2, 3], "day": ["2013-01-01", "2013-01-31", "2013-02-01"]})


@pytest.mark.parametrize(
    ("parameters", "first", "last"),
    [
        ({"year": "2013"}, date(2013, 1, 1), date(2013, 12, 31)),
        ({"year": 2013, "month": "2"}, date(2013, 2, 1), date(2013, 2, 28)),
        ({"year": 2013, "month": 2, "day": 3}, date(2013, 2, 3), date(2013, 2, 3)),
        ({"partition": "2013-01-01..2013-01-02"}, date(2013, 1, 1), date(2013, 1, 2)),
    ],
)
def test_calendar_parameters_select_days(parameters, first, last):
    assert parse_batch_parameters(parameters, time="day") == BatchFilter({}, first, last)


def test_calendar_parameters_without_a_time_column_are_values():
    assert parse_batch_parameters({"year": 2013}, time=None) == BatchFilter({"year": 2013})
    assert parse_batch_parameters(None, time="day") == BatchFilter()


@pytest.mark.parametrize("parameters", [{"year": 2013, "month": 13}, {"year": "x"}])
def test_parameters_of_no_day_are_an_error(parameters):
    with pytest.raises(DataError, match="name no day"):
        parse_batch_parameters(parameters, time="day")


def test_filter_selects_rows_by_day_and_value():
    january = BatchFilter(first=date(2013, 1, 1), last=date(2013, 1, 31))
    assert list(january.select(FRAME, "day")["id"]) == [1, 2]
    assert list(BatchFilter({"id": "3"}).select(FRAME, None)["id"]) == [3]
    assert list(january.without_days().select(FRAME, "day")["id"]) == [1, 2, 3]


def test_filter_of_days_needs_a_time_column():
    with pytest.raises(DataError, match="give the operator `time`"):
        BatchFilter(first=date(2013, 1, 1), last=date(2013, 1, 1)).select(FRAME, None)
    with pytest.raises(DataError, match="has no column colour; it has id, day"):
        BatchFilter({"colour": "red"}).select(FRAME, None)


def test_sql_condition_quotes_names_and_values():
    selected = BatchFilter({'a"b': "x'y"}, date(2013, 1, 1), date(2013, 1, 1))
    assert selected.condition("day") == (
        "\"a\"\"b\" = 'x''y' AND \"day\" >= '2013-01-01T00:00:00+00:00' "
        "AND \"day\" < '2013-01-02T00:00:00+00:00'"
    )
    assert BatchFilter().condition("day") == ""


def test_filter_as_text_is_the_partition_key_and_values():
    assert str(BatchFilter({"id": 1}, date(2013, 1, 1), date(2013, 1, 2))) == "2013-01-01..2013-01-02, id=1"
    assert str(BatchFilter()) == "everything"
