from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd
import pytest

from include.data.lake.table_statistics import TableStatistics, table_statistics, value_ranges

DAYS = [date(2013, 1, 1), date(2013, 1, 2)]


def test_statistics_count_rows_and_nulls_from_the_log(lake, rows):
    before = datetime.now(UTC)
    frame = rows(4).assign(speed=[1.0, None, 2.0, 3.0, None, None, 4.0, 5.0])
    lake.publish("cars", frame, DAYS, metadata={"run": "cars_ingestion/1", "try": "1"})
    statistics = table_statistics(lake, "cars")
    assert (statistics.partitions, statistics.rows, statistics.newest) == (2, 8, DAYS[1])
    assert statistics.null_shares == {"id": 0.0, "speed": 3 / 8}
    assert statistics.published_at is not None
    assert statistics.published_at.timestamp() >= int(before.timestamp())


def test_statistics_without_a_table_are_empty(lake):
    assert table_statistics(lake, "cars") == TableStatistics()


@pytest.mark.parametrize("year", [1, 1950, 2013, 9999])
def test_ranges_contain_the_microseconds_of_moments(lake, rows, year):
    moments = [datetime(year, 12, 31, 23, 59, 59, microsecond, UTC) for microsecond in (1, 123456, 999999)]
    frame = pd.DataFrame(
        {"seen": pd.Series(moments, dtype="datetime64[us, UTC]"), "_airworthy_day": "2013-01-01"}
    )
    lake.publish("cars", frame, DAYS[:1], metadata={})
    ((minimum, maximum),) = value_ranges(lake, "cars", "seen").values()
    assert minimum <= moments[0]
    assert maximum >= moments[-1]


def test_ranges_are_those_of_one_column(lake, rows):
    lake.publish("cars", rows(2), DAYS, metadata={})
    assert value_ranges(lake, "cars", "id") == {day: (f"{day}-0", f"{day}-1") for day in DAYS}
    assert value_ranges(lake, "cars", "nothing") == {}
