"""Rejected rows of a dataset that is read whole each night: pending once, with its newest version."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from airflow.sdk.exceptions import AirflowSkipException

from include.data.quarantine.queue import Quarantine, ReviewAction, RowFilter, discard_rows, pending
from include.data.quarantine.release import release_rows
from include.database.tables import ledger
from include.declarations import Column, Dataset, FileSource

BOB = ReviewAction("bob", "people_quarantine/one", "as the sender says")
HEADER = "id,age\n"


def people(maximum=100):
    return Dataset(
        name="people",
        owner="ann",
        description="People.",
        source=FileSource(path="people.csv"),
        whole=True,
        key=("id",),
        columns=(Column(name="id", dtype="integer"), Column(name="age", dtype="integer", maximum=maximum)),
        quarantine_limit=0.9,
    )


@pytest.fixture
def read(declare_dataset, lake, database, ingest):
    """Return a function that lands rows and ingests them in the night of a day; its value: are they news?"""
    dataset = declare_dataset(people())

    def run(rows, day):
        path = Path(lake.uri).parent / "landing" / "people.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(HEADER + rows)
        try:
            ingest(dataset, day)
        except AirflowSkipException:
            return False
        return True

    return run


@pytest.fixture
def waiting(lake, database):
    """Return a function that reads the days and ids of the pending rows."""

    def rows():
        queue = pending(Quarantine(people(), lake, database))
        return list(zip(queue["_airworthy_day"], queue["id"], strict=True))

    return rows


def test_same_file_each_night_adds_no_rejected_row(read, waiting, lake, database):
    assert read("1,20\n2,120\nx,1\n", "2013-01-01")
    expected = waiting()
    assert sorted(expected) == [("2013-01-01", "2"), ("2013-01-01", "x")]
    assert not read("1,20\n2,120\nx,1\n", "2013-01-02")
    assert waiting() == expected
    discard_rows(Quarantine(people(), lake, database), RowFilter(reason="integer"), BOB)
    # One more rejected row is no news, but waits with the version that it came with.
    assert not read("1,20\n2,120\nx,1\n3,130\n", "2013-01-03")
    assert sorted(waiting()) == [("2013-01-01", "2"), ("2013-01-01", "3")]
    assert not read("1,20\n3,130\n", "2013-01-04")
    assert waiting() == [("2013-01-01", "3")]
    released = release_rows(Quarantine(people(maximum=200), lake, database), RowFilter(), BOB)
    assert (released.released, waiting()) == (1, [])
    assert sorted(lake.read("people")["id"]) == [1, 3]


def test_released_row_that_was_withdrawn_waits_again(read, waiting, lake, database):
    rows = "1,20\n2,120\n"
    assert read(rows, "2013-01-01")
    released = release_rows(Quarantine(people(maximum=200), lake, database), RowFilter(), BOB)
    assert (released.released, waiting()) == (1, [])
    # The cleared run of the day refuses the row again.
    assert read(rows, "2013-01-01")
    assert (sorted(lake.read("people")["id"]), waiting()) == ([1], [("2013-01-01", "2")])
    assert not read(rows, "2013-01-02")
    assert waiting() == [("2013-01-01", "2")]


def test_new_version_supersedes_rejected_rows_of_earlier_ones(read, waiting, database):
    read("1,20\n2,120\n", "2013-01-01")
    assert read("1,20\n4,40\n5,150\n", "2013-01-02")
    assert waiting() == [("2013-01-02", "5")]
    with database.connect() as connection:
        evidence = connection.scalars(select(ledger.c.evidence).where(ledger.c.use_case == "people")).all()
    assert [(entry["action"], entry["partition"]) for entry in evidence] == [("supersede", "2013-01-01")]
