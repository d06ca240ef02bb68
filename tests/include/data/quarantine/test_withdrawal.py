"""The withdrawal of released rows that a newer run of their partition leaves out."""

from __future__ import annotations

from include.data.quarantine.queue import RowFilter
from include.data.quarantine.release import release_rows
from tests.include.data.quarantine.cars import cars, decision, published


def test_ingestion_without_released_rows_records_a_withdrawal(ingest, frame, queue, lake, entries, database):
    ingest(frame)
    release_rows(queue(cars(maximum=1000)), RowFilter(), decision())
    again = ingest(frame, cars(maximum=1000), run="cars_ingestion/second/1")
    assert "warning" not in again.failed
    assert len(published(lake)) == 10
    assert [entry["evidence"]["action"] for entry in entries()] == ["release", "release"]
    without = ingest(frame.drop(index=2), cars(maximum=300.5), run="cars_ingestion/third/1")
    assert without.passed
    assert without.failed["warning"] == ["expect_column_distinct_values_to_contain_set(id)"]
    assert [entry["evidence"]["action"] for entry in entries()][2:] == ["withdraw", "withdraw"]
    assert (
        "2 rows of 2013-01-01 that were released are not in the partition any more" in entries()[2]["reason"]
    )
    ingest(frame.drop(index=2), cars(maximum=300.5), run="cars_ingestion/fourth/1")
    assert len(entries()) == 4
