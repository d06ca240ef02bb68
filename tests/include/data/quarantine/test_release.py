"""The release of rejected rows: validated again, merged once, and recorded."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from include.data.lake.delta_tables import Lake
from include.data.lake.partition_columns import DAY
from include.data.quarantine import queue as quarantine
from include.data.quarantine.queue import RowFilter, discard_rows, pending
from include.data.quarantine.release import release_rows
from include.data.reading.misfit_causes import NUMBER
from include.data.reading.table import MALFORMED, MalformedLine
from include.database.tables import gate_result
from include.declarations import Column
from include.errors import DataError
from tests.include.data.quarantine.cars import ONE, TWO, cars, decision, published


def test_passing_rows_are_merged_and_leave_the_queue(ingest, frame, queue, lake, entries):
    ingest(frame)
    versions = lake.version("cars")
    result = release_rows(queue(cars(maximum=300.5)), RowFilter(first=ONE, last=TWO), decision())
    assert (result.released, result.partitions) == (1, (ONE,))
    assert lake.version("cars") == versions + 1
    assert "2013-01-01-2" in published(lake)
    assert len(published(lake)) == 9
    assert len(published(lake, TWO)) == 9
    left = pending(queue())
    assert set(left["speed"]) == {"301.0", "302.0"}
    assert list(result.retained.values()) == ["speed is not at most 300.5"] * 2
    assert set(left["_reasons"]) == set(result.retained.values())
    (entry,) = entries()
    assert (entry["actor"], entry["use_case"]) == ("bob", "cars")
    assert entry["reason"] == "1 rows of 2013-01-01 released into the partition: the limit was too low"
    assert entry["evidence"]["keys"] == {entry["evidence"]["ids"][0]: ["2013-01-01-2"]}


def test_released_row_has_the_values_that_it_came_with(ingest, frame, queue, lake):
    ingest(frame)
    release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    released = lake.read("cars", [ONE]).set_index("id").loc["2013-01-01-2"]
    assert released["speed"] == 300.0
    assert released["seen"] == pd.Timestamp("2013-01-01T10:00Z")
    whole = lake.read("cars", [ONE])
    assert str(whole["doors"].dtype) == "Int64"


def test_pending_row_keeps_the_types_of_its_values(ingest, frame, queue):
    ids = frame["id"].astype(object)
    ids[4] = 17
    ingest(frame.assign(id=ids))
    result = release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert list(result.retained.values()) == [f"id is no string: it is {NUMBER}"]


def test_row_with_a_published_key_stays_pending(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-5")
    ingest(frame.assign(id=ids))
    result = release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert list(result.retained.values()) == ["the key (id) is published already, with other values"]
    assert published(lake).count("2013-01-01-5") == 1


def test_two_rows_with_one_key_stay_pending(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-3")
    ingest(frame.assign(id=ids))
    result = release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert len(result.retained) == 2
    assert "there more than once among the rejected rows" in next(iter(result.retained.values()))
    assert len(published(lake)) == 8


def test_equal_rows_are_released_together_and_published_once(ingest, frame, queue, lake):
    ingest(pd.concat([frame, frame.iloc[[3]]], ignore_index=True))
    result = release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert (result.released, result.retained) == (3, {})
    assert published(lake).count("2013-01-01-3") == 1
    assert len(published(lake)) == 10


def test_rows_of_an_unpublished_partition_stay_pending(ingest, frame, queue, lake, entries):
    assert not ingest(frame, cars(quarantine_limit=0)).passed
    result = release_rows(queue(cars(maximum=1000)), RowFilter(), decision())
    assert result.released == 0
    assert "2013-01-01 was never published: have the partition ingested first" in str(result.retained)
    assert entries() == []
    assert len(pending(queue())) == 3


def test_release_above_the_declared_volume_retains_all_rows(ingest, frame, queue, lake):
    ingest(frame)
    result = release_rows(queue(cars(maximum=1000, volume=(1, 9))), RowFilter(first=ONE), decision())
    assert set(result.retained.values()) == {"with these rows the partition would have more than 9"}
    assert len(published(lake)) == 8


def test_malformed_line_is_never_released(ingest, frame, queue):
    text = pd.Series(None, index=frame.index, dtype=object)
    text[7] = MalformedLine(9, "2013-01-01-7;oops;;;\0", "it has 5 fields, not 4").to_json()
    broken = frame.assign(**{MALFORMED: text})
    broken.loc[7, ["id", "speed"]] = [None, np.nan]
    report = ingest(broken)
    assert MALFORMED not in report.accepted
    rows = pending(queue(), RowFilter(reason="could not be read"))
    assert list(rows["_reasons"]) == ["the line could not be read"]
    assert list(rows[MALFORMED]) == [r"line 9: it has 5 fields, not 4: 2013-01-01-7;oops;;;\u0000"]
    result = release_rows(queue(cars(maximum=1000)), RowFilter(ids=list(rows["_row_id"])), decision())
    assert "the line could not be read" in next(iter(result.retained.values()))


def test_rows_without_a_newly_declared_column_stay_pending(ingest, frame, queue):
    ingest(frame)
    today = cars(maximum=1000)
    today = cars(columns=(*today.columns, Column(name="colour", dtype="string")))
    result = release_rows(queue(today), RowFilter(first=ONE), decision())
    assert set(result.retained.values()) == {"there is no column colour"}


def test_release_of_more_rows_than_the_limit_is_refused(ingest, frame, queue, monkeypatch):
    ingest(frame)
    monkeypatch.setattr(quarantine, "MAX_ROWS", 2)
    with pytest.raises(DataError, match="3 rows are more than one decision can name"):
        release_rows(queue(), RowFilter(), decision())


def test_release_beside_an_ingestion_merges_into_its_rows(ingest, frame, queue, lake, monkeypatch):
    ingest(frame)
    update = Lake.update

    def late(self, table, *args, **kwargs):
        monkeypatch.setattr(Lake, "update", update)
        newer = lake.read("cars", [ONE]).assign(speed=55.0)
        lake.publish("cars", newer, [ONE], metadata={})
        return update(self, table, *args, **kwargs)

    monkeypatch.setattr(Lake, "update", late)
    release_rows(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision())
    speeds = lake.read("cars", [ONE]).set_index("id")["speed"]
    assert speeds["2013-01-01-2"] == 300.0
    assert set(speeds.drop("2013-01-01-2")) == {55.0}


def with_personal_columns(maximum):
    declared = cars(maximum=maximum)
    mask = {"personal": True}
    columns = [
        column.model_copy(update=mask) for column in declared.columns if column.name in ("id", "speed")
    ]
    return declared.model_copy(update={"columns": (*columns, *declared.columns[2:])})


def test_personal_row_is_masked_for_people_and_still_released(ingest, frame, queue, lake, database, entries):
    ingest(frame, with_personal_columns(100.0))
    with database.connect() as connection:
        recorded = str(connection.execute(select(gate_result.c.results)).scalar_one())
    assert "300.0" not in recorded
    assert "***" in recorded
    personal = with_personal_columns(1000.0)
    rejected = queue(personal)
    shown = quarantine.readable(pending(rejected), rejected.personal)
    assert set(shown["id"]) == set(shown["speed"]) == {"***"}
    assert shown["_row_id"].is_unique
    assert release_rows(rejected, RowFilter(first=ONE), decision()).released == 2
    assert "2013-01-01-2" in published(lake)
    assert "2013-01-01-2" not in str(entries())
    ingest(frame, personal, run="cars_ingestion/second/1")
    assert [entry["evidence"]["action"] for entry in entries()] == ["release", "supersede"]


def test_rows_of_any_value_are_released_or_discarded(ingest, rows, queue, lake, database):
    frame = rows(10).assign(doors=None, seen=None).astype(object)
    frame.loc[2, ["seen", "speed"]] = [datetime(9999, 12, 31, tzinfo=UTC), 300.0]
    frame.loc[[3, 4], "id"] = ["a\0b", "\ud800"]
    frame.loc[5, ["doors", "speed"]] = [2**63 - 1, 300.0]
    frame.loc[6, "doors"] = 2**70
    # On the second day every refused row is null in the column of moments and in that of numbers.
    frame.loc[12, ["id", "speed"]] = [None, None]
    for day, number in ((ONE, 1), (TWO, 2)):
        part = frame[frame[DAY] == f"{day}"]
        assert ingest(part, run=f"cars_ingestion/{number}/1", days=(day,)).passed
    table = lake.read("cars_quarantine")
    assert {str(dtype) for dtype in table.dtypes} == {"object"}
    assert {r"a\u0000b", r"\ud800"} <= set(table["id"])
    both = RowFilter(first=ONE, last=TWO)
    result = release_rows(queue(cars(maximum=1000)), both, decision())
    assert result.released == 2
    released = lake.read("cars", [ONE]).set_index("id").loc[["2013-01-01-2", "2013-01-01-5"]]
    assert released["seen"].iloc[0] == datetime(9999, 12, 31, tzinfo=UTC)
    assert released["doors"].iloc[1] == 2**63 - 1
    assert discard_rows(queue(), both, decision(run="cars_quarantine/two", comment="a test\0")) == 4
    assert len(lake.read("cars", [TWO])) == 9
