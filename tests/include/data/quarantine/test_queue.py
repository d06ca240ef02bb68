"""The queue of rejected rows: stored, listed, discarded, superseded, and recorded in the ledger."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from sqlalchemy import select

from include.data.quarantine.queue import RowFilter, discard_rows, pending
from include.database.tables import gate_result
from include.errors import DataError
from tests.include.data.quarantine.cars import ONE, TWO, decision


def test_rejected_row_is_pending_with_id_reasons_run_and_time(ingest, frame, queue):
    ingest(frame)
    first = pending(queue()).iloc[0]
    assert len(first["_row_id"]) == 16
    assert first["_failed"] == "expect_column_values_to_be_between(speed)"
    assert first["_reasons"] == "speed is not at most 100"
    assert first["_refused_by"] == "cars_ingestion/first/1"
    assert datetime.fromisoformat(first["_refused_at"]).date() == datetime.now(UTC).date()
    assert json.loads(first["_row"])["doors"] in (4, None)


def test_row_id_is_stable_and_differs_between_equal_rows(ingest, frame, queue):
    twins = pd.concat([frame, frame.iloc[[2]]], ignore_index=True)
    ingest(twins)
    ids = set(pending(queue())["_row_id"])
    ingest(twins.sample(frac=1, random_state=1), run="cars_ingestion/again/1")
    assert len(ids) == 4
    assert set(pending(queue())["_row_id"]) == ids


@pytest.mark.parametrize(
    ("row_filter", "speeds"),
    [
        (RowFilter(), {"300.0", "301.0", "302.0"}),
        (RowFilter(first=ONE), {"300.0", "301.0"}),
        (RowFilter(first=ONE, last=TWO), {"300.0", "301.0", "302.0"}),
        (RowFilter(first=date(2014, 1, 1)), set()),
        (RowFilter(reason="SPEED is not"), {"300.0", "301.0", "302.0"}),
        (RowFilter(reason="doors"), set()),
    ],
)
def test_pending_rows_are_selected_by_day_and_reason(ingest, frame, queue, row_filter, speeds):
    ingest(frame)
    assert set(pending(queue(), row_filter)["speed"] if speeds else []) == speeds
    assert len(pending(queue(), row_filter)) == len(speeds)


def test_pending_rows_are_selected_by_id(ingest, frame, queue):
    ingest(frame)
    row_id = pending(queue())["_row_id"][1]
    assert list(pending(queue(), RowFilter(ids=[row_id]))["_row_id"]) == [row_id]


def test_discard_without_a_comment_is_refused(ingest, frame, queue, entries):
    ingest(frame)
    with pytest.raises(DataError, match="cars: say in `comment` why the rows are discarded"):
        discard_rows(queue(), RowFilter(), decision(comment=" "))
    assert len(pending(queue())) == 3
    assert discard_rows(queue(), RowFilter(), decision(comment="test drives")) == 3
    assert len(pending(queue())) == 0
    assert [entry["reason"] for entry in entries()] == [
        "2 rows of 2013-01-01 discarded: test drives",
        "1 rows of 2013-01-02 discarded: test drives",
    ]
    assert len(queue().lake.read("cars_quarantine", version=entries()[0]["evidence"]["table_version"])) == 3


def test_corrected_partition_supersedes_its_pending_rows(ingest, frame, queue, entries):
    ingest(frame)
    for attempt in (1, 2):
        ingest(frame.assign(speed=1.0), run=f"cars_ingestion/second/{attempt}")
    assert len(pending(queue())) == 0
    (entry,) = entries()
    assert "superseded: cars_ingestion/second validated the partition again" in entry["reason"]
    assert (entry["evidence"]["rows"], len(entry["evidence"]["ids"])) == (3, 3)


def test_refused_partition_leaves_earlier_pending_rows(ingest, frame, queue, entries):
    ingest(frame)
    worse = frame.assign(speed=999.0)
    assert not ingest(worse, run="cars_ingestion/second/1").passed
    assert {"300.0", "301.0", "302.0", "999.0"} == set(pending(queue())["speed"])
    assert entries() == []


def test_gate_result_counts_the_rejected_rows(ingest, frame, database):
    ingest(frame)
    with database.connect() as connection:
        assert connection.scalar(select(gate_result.c.quarantined)) == 3
