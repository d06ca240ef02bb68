"""Refused rows that are released: judged again, merged once, and told of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from include.data.lake.delta_tables import Lake
from include.data.quarantine import queue as quarantine
from include.data.quarantine import release
from include.data.quarantine.queue import RowFilter, pending
from include.declarations import Column
from include.errors import DataError
from tests.include.data.quarantine.cars import ONE, TWO, cars, decision, published


def test_rows_that_pass_today_are_merged_into_their_partitions_and_leave_the_queue(
    ingest, frame, queue, lake, entries
):
    ingest(frame)
    versions = lake.version("cars")
    found = release.release(queue(cars(maximum=300.5)), RowFilter(first=ONE, last=TWO), decision())
    assert (found.released, found.partitions) == (1, (ONE,))
    assert lake.version("cars") == versions + 1
    assert "2013-01-01-2" in published(lake)
    assert len(published(lake)) == 9
    assert len(published(lake, TWO)) == 9
    left = pending(queue())
    assert set(left["speed"]) == {"301.0", "302.0"}
    assert list(found.kept.values()) == ["speed is not between -1.79769e+308 and 300.5"] * 2
    assert set(left["_reasons"]) == set(found.kept.values())
    (entry,) = entries()
    assert (entry["actor"], entry["use_case"]) == ("bob", "cars")
    assert entry["reason"] == "1 rows of 2013-01-01 released into the partition: the limit was too low"
    assert entry["evidence"]["keys"] == {entry["evidence"]["ids"][0]: ["2013-01-01-2"]}


def test_a_released_row_has_the_values_that_it_came_with(ingest, frame, queue, lake):
    ingest(frame)
    release.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    released = lake.read("cars", [ONE]).set_index("id").loc["2013-01-01-2"]
    assert released["speed"] == 300.0
    assert released["seen"] == pd.Timestamp("2013-01-01T10:00Z")
    whole = lake.read("cars", [ONE])
    assert str(whole["doors"].dtype) == "Int64"


def test_a_row_that_was_no_text_does_not_become_text_by_waiting(ingest, frame, queue):
    ids = frame["id"].astype(object)
    ids[4] = 17
    ingest(frame.assign(id=ids))
    found = release.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert list(found.kept.values()) == ["id is no string"]


def test_a_key_that_is_published_already_keeps_the_row_in_the_queue(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-5")
    ingest(frame.assign(id=ids))
    found = release.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert list(found.kept.values()) == ["the key (id) is published already, with other values"]
    assert published(lake).count("2013-01-01-5") == 1


def test_two_refused_rows_with_one_key_keep_each_other_in_the_queue(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-3")
    ingest(frame.assign(id=ids))
    found = release.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert len(found.kept) == 2
    assert "there more than once among the refused rows" in next(iter(found.kept.values()))
    assert len(published(lake)) == 8


def test_equal_rows_are_released_together_and_published_once(ingest, frame, queue, lake):
    ingest(pd.concat([frame, frame.iloc[[3]]], ignore_index=True))
    found = release.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    assert (found.released, found.kept) == (3, {})
    assert published(lake).count("2013-01-01-3") == 1
    assert len(published(lake)) == 10


def test_rows_of_a_partition_that_was_never_published_wait(ingest, frame, queue, lake, entries):
    assert not ingest(frame, cars(quarantine_limit=0)).passed
    found = release.release(queue(cars(maximum=1000)), RowFilter(), decision())
    assert found.released == 0
    assert "2013-01-01 was never published: have the partition ingested first" in str(found.kept)
    assert entries() == []
    assert len(pending(queue())) == 3


def test_a_release_never_exceeds_the_declared_volume(ingest, frame, queue, lake):
    ingest(frame)
    found = release.release(queue(cars(maximum=1000, volume=(1, 9))), RowFilter(first=ONE), decision())
    assert set(found.kept.values()) == {"with these rows the partition would have more than 9"}
    assert len(published(lake)) == 8


def test_a_line_that_could_not_be_read_is_never_released(ingest, frame, queue):
    text = pd.Series(None, index=frame.index, dtype=object)
    text[7] = "2013-01-01-7;oops;;;"
    broken = frame.assign(_malformed=text)
    broken.loc[7, ["id", "speed"]] = [None, np.nan]
    report = ingest(broken)
    assert "_malformed" not in report.accepted
    kept = pending(queue(), RowFilter(reason="could not be read"))
    assert list(kept["_reasons"]) == ["the line could not be read"]
    assert list(kept["_malformed"]) == ["2013-01-01-7;oops;;;"]
    found = release.release(queue(cars(maximum=1000)), RowFilter(ids=list(kept["_row_id"])), decision())
    assert "the line could not be read" in next(iter(found.kept.values()))


def test_a_column_that_was_declared_since_keeps_the_rows(ingest, frame, queue):
    ingest(frame)
    today = cars(maximum=1000)
    today = cars(columns=(*today.columns, Column(name="colour", dtype="string")))
    found = release.release(queue(today), RowFilter(first=ONE), decision())
    assert set(found.kept.values()) == {"there is no column colour"}


def test_a_decision_about_more_rows_than_the_ledger_can_name_is_refused(ingest, frame, queue, monkeypatch):
    ingest(frame)
    monkeypatch.setattr(quarantine, "MAX_ROWS", 2)
    with pytest.raises(DataError, match="3 rows are more than one decision can name"):
        release.release(queue(), RowFilter(), decision())


def test_an_ingestion_without_the_released_rows_says_so_in_the_evidence_and_in_the_ledger(
    ingest, frame, queue, lake, entries, database
):
    ingest(frame)
    release.release(queue(cars(maximum=1000)), RowFilter(), decision())
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


def test_a_row_released_while_an_ingestion_publishes_is_merged_into_what_that_one_wrote(
    ingest, frame, queue, lake, monkeypatch
):
    ingest(frame)
    amend = Lake.update

    def late(self, table, *args, **kwargs):
        monkeypatch.setattr(Lake, "update", amend)
        newer = lake.read("cars", [ONE]).assign(speed=55.0)
        lake.publish("cars", newer, [ONE], metadata={})
        return amend(self, table, *args, **kwargs)

    monkeypatch.setattr(Lake, "update", late)
    release.release(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision())
    speeds = lake.read("cars", [ONE]).set_index("id")["speed"]
    assert speeds["2013-01-01-2"] == 300.0
    assert set(speeds.drop("2013-01-01-2")) == {55.0}
