"""Records of rejected rows."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pandas as pd

from include.data.quarantine.rows import from_record, to_record
from include.data.reading.raw import Opaque
from include.data.validation.batch import Batch
from include.data.validation.coerce import coerce_batch
from include.declarations import Column

DAY = date(2013, 1, 1)
NOW = datetime(2013, 1, 2, tzinfo=UTC)
ROWS = {
    "text": ["a", "a", None],
    "number": [1.5, 1.5, 2],
    "moment": [pd.Timestamp("2013-01-01T10:00Z")] * 3,
    "date": [DAY] * 3,
    "list": [["x"]] * 3,
}


def record(**columns):
    frame = pd.DataFrame(ROWS | columns, dtype=object).assign(
        _airworthy_day=f"{DAY}", _failed="a", _reasons="b"
    )
    return to_record(Batch.of(frame, [DAY]), run="run/1", at=NOW)


def test_record_is_text_with_run_and_time():
    row = record().iloc[0]
    assert (row["text"], row["number"], row["date"]) == ("a", "1.5", "2013-01-01")
    assert (row["_refused_by"], row["_refused_at"]) == ("run/1", "2013-01-02T00:00:00+00:00")


def test_row_ids_are_stable_and_unique():
    ids = list(record()["_row_id"])
    assert len(set(ids)) == 3
    assert list(record()["_row_id"]) == ids


def test_rows_of_a_record_have_their_values():
    rows = from_record(record())
    assert rows.loc[0, ["text", "number", "moment", "date"]].tolist() == [
        "a", 1.5, pd.Timestamp("2013-01-01T10:00Z"), DAY,
    ]  # fmt: skip
    assert rows.loc[2, "text"] is None
    assert rows.loc[0, "list"] == Opaque('["x"]')


def test_record_of_no_rows_is_empty():
    frame = pd.DataFrame({"id": [], "_airworthy_day": [], "_failed": [], "_reasons": []})
    assert to_record(Batch.of(frame, [DAY]), run="run/1", at=NOW).empty


ODD = pd.DataFrame(
    {
        "text": ["a\0b", "\ud800", {"a": 1}, None],
        "count": [2**70, 2**63 - 1, 1.5, None],
        "seen": [datetime(9999, 12, 31, tzinfo=UTC), datetime(2013, 1, 1), DAY, None],
        "_airworthy_day": f"{DAY}",
    },
    dtype=object,
)
COLUMNS = [
    Column(name="text", dtype="string"),
    Column(name="count", dtype="integer"),
    Column(name="seen", dtype="timestamp"),
]


def test_record_of_any_value_is_text_and_is_read_again():
    read, _, misfits = coerce_batch(Batch.of(ODD, [DAY]), COLUMNS)
    rejected = read.with_rows(read.frame.assign(_failed="a", _reasons="b"))
    made = to_record(rejected, run="run/1", at=NOW)
    assert made["text"].tolist() == [r"a\u0000b", r"\ud800", '{"a": 1}', None]
    assert made["seen"].tolist() == ["9999-12-31T00:00:00+00:00", "2013-01-01T00:00:00", "2013-01-01", None]
    assert not made.map(lambda value: isinstance(value, str) and "\0" in value).any(axis=None)
    again, _, misfits_again = coerce_batch(Batch.of(from_record(made), [DAY]), COLUMNS)
    pd.testing.assert_frame_equal(
        again.frame[["text", "count", "seen"]], read.frame[["text", "count", "seen"]]
    )
    assert {name: list(rows.index) for name, rows in misfits.items()} == {
        name: list(rows.index) for name, rows in misfits_again.items()
    }
