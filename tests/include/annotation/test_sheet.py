from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime

import pytest

from include.annotation import sheet
from include.annotation.label_rows import Event
from include.annotation.sheet import QueueRow, read_sheet, write_sheet
from include.errors import DataError
from include.use_cases.air_time import USE_CASE
from include.use_cases.flight_delay import USE_CASE as OTHER

KEYS = ("flight_id",)
DAY = Event(("f1",), date(2013, 7, 1))
MOMENT = Event(("=f2",), datetime(2013, 7, 1, 12, 30, tzinfo=UTC))


def exported(use_case=USE_CASE, events=(DAY, MOMENT)):
    rows = [QueueRow(event, "drifted", "12.5", {"carrier": "=1+1", "distance": -3.5}) for event in events]
    return write_sheet(use_case, KEYS, rows, "key")


def filled(content, *labels, **changes):
    rows = list(csv.DictReader(io.StringIO(content)))
    for row, label in zip(rows, labels, strict=False):
        row |= {"_label": label, **changes}
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def read(content, use_case=USE_CASE):
    return read_sheet(use_case, KEYS, content, "key")


def test_filled_rows_are_read_as_they_were_exported():
    rows = read(filled(exported(), "11", " 12 "))
    assert [(row.event, row.label) for row in rows] == [(DAY, "11"), (MOMENT, "12")]


def test_rows_without_a_label_are_left_out():
    assert [row.event for row in read(filled(exported(), "", "12"))] == [MOMENT]
    assert read(exported()) == []


def test_no_text_is_a_formula_of_a_spreadsheet():
    [first, second] = csv.DictReader(io.StringIO(exported()))
    assert (first["carrier"], first["distance"]) == ("'=1+1", "-3.5")
    assert second["flight_id"] == "'=f2"


@pytest.mark.parametrize(
    "changes", [{"flight_id": "f9"}, {"_event": "2013-07-02"}, {"_event": "soon"}, {"_row": "0" * 16}]
)
def test_a_row_that_was_not_exported_is_named(changes):
    with pytest.raises(DataError, match=r"line 2 is no row of the queue of air_time.*Nothing was changed"):
        read(filled(exported(), "11", **changes))


def test_a_file_of_another_model_is_refused():
    with pytest.raises(DataError, match="no row of the queue of air_time"):
        read(filled(exported(OTHER), "11"))


def test_a_file_without_its_columns_is_refused():
    with pytest.raises(DataError, match="lacks the columns _row, _event, flight_id"):
        read("a;b\n1;2\n")
    with pytest.raises(DataError, match="lacks the columns"):
        read("")


def test_two_labels_of_one_row_are_refused():
    repeated = exported(events=(DAY, DAY))
    with pytest.raises(DataError, match="line 3 gives the row of line 2 another label"):
        read(filled(repeated, "1", "2"))
    assert len(read(filled(repeated, "1", "1"))) == 1


def test_a_file_with_too_many_rows_is_refused(monkeypatch):
    monkeypatch.setattr(sheet, "MAX_QUEUE_ROWS", 1)
    with pytest.raises(DataError, match="more than 1 rows"):
        read(filled(exported(), "1", "2"))
    assert len(read(filled(exported(events=(DAY,)), "1"))) == 1
