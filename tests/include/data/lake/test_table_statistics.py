from __future__ import annotations

from datetime import UTC, date, datetime

from include.data.lake.table_statistics import TableStatistics, table_statistics

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
