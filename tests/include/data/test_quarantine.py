"""Refused rows on their way: kept, looked at, released, discarded, replaced; never without a word."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from include.data import clearance, quarantine
from include.data.admission import admit
from include.data.lake import Lake
from include.data.quarantine import Choice, Decision, Queue, waiting
from include.declarations import Column, Dataset, FileSource
from include.errors import DataError
from include.schema import gate_result, ledger

ONE, TWO = date(2013, 1, 1), date(2013, 1, 2)
NAMES = ("2013-01-01", "2013-01-02")


def cars(maximum=100.0, **changes):
    columns = (
        Column(name="id", dtype="string"),
        Column(name="speed", dtype="number", maximum=maximum, nullable=True),
        Column(name="doors", dtype="integer", nullable=True, maximum_nulls=1),
        Column(name="seen", dtype="timestamp", nullable=True, maximum_nulls=1),
    )
    values = {
        "name": "cars", "owner": "ann", "description": "Cars.", "columns": columns, "key": ("id",),
        "source": FileSource(path="cars/{partition}.csv"), "first_partition": ONE, "quarantine_limit": 0.5,
    }  # fmt: skip
    return Dataset(**values | changes)


@pytest.fixture
def frame(rows):
    """Ten cars on each of two days; two of the first day and one of the second are too fast."""
    made = rows(10).assign(doors=pd.array([4, None] * 10, dtype="Int64"), seen=None)
    made.loc[[2, 3, 12], "speed"] = [300.0, 301.0, 302.0]
    made.loc[2, "seen"] = pd.Timestamp("2013-01-01T10:00Z")
    return made


@pytest.fixture
def ingest(lake, database):
    """Return what an ingestion does: it judges, and publishes what passed."""

    def run(frame, declared=None, run="cars_ingestion/first/1", days=(ONE, TWO)):
        found = admit(declared or cars(), frame, list(days), lake=lake, engine=database, run=run)
        if found.passed:
            lake.publish("cars", found.accepted, days, metadata={})
        return found

    return run


@pytest.fixture
def queue(lake, database):
    return lambda declared=None: Queue(declared or cars(), lake, database)


@pytest.fixture
def entries(database):
    def read():
        with database.connect() as connection:
            query = select(ledger).where(ledger.c.event == "quarantine").order_by(ledger.c.id)
            return [dict(row) for row in connection.execute(query).mappings()]

    return read


def decision(run="cars_quarantine/one", comment="the limit was too low"):
    return Decision("bob", run, comment)


def published(lake, day=ONE):
    return sorted(lake.read("cars", [day])["id"])


def test_a_refused_row_waits_with_a_name_the_failed_expectations_the_reasons_the_run_and_the_time(
    ingest, frame, queue
):
    ingest(frame)
    first = waiting(queue()).iloc[0]
    assert len(first["_row_id"]) == 16
    assert first["_failed"] == "expect_column_values_to_be_between(speed)"
    assert first["_reasons"].startswith("speed is not between")
    assert first["_refused_by"] == "cars_ingestion/first/1"
    assert datetime.fromisoformat(first["_refused_at"]).date() == datetime.now(UTC).date()
    assert json.loads(first["_row"])["doors"] in (4, None)


def test_a_row_has_the_same_name_wherever_it_stands_and_equal_rows_have_different_ones(ingest, frame, queue):
    twins = pd.concat([frame, frame.iloc[[2]]], ignore_index=True)
    ingest(twins)
    ids = set(waiting(queue())["_row_id"])
    ingest(twins.sample(frac=1, random_state=1), run="cars_ingestion/again/1")
    assert len(ids) == 4
    assert set(waiting(queue())["_row_id"]) == ids


@pytest.mark.parametrize(
    ("choice", "speeds"),
    [
        (Choice(), {"300.0", "301.0", "302.0"}),
        (Choice(first=ONE), {"300.0", "301.0"}),
        (Choice(first=ONE, last=TWO), {"300.0", "301.0", "302.0"}),
        (Choice(first=date(2014, 1, 1)), set()),
        (Choice(reason="SPEED is not"), {"300.0", "301.0", "302.0"}),
        (Choice(reason="doors"), set()),
    ],
)
def test_rows_are_chosen_by_day_and_reason(ingest, frame, queue, choice, speeds):
    ingest(frame)
    assert set(waiting(queue(), choice)["speed"] if speeds else []) == speeds
    assert len(waiting(queue(), choice)) == len(speeds)


def test_rows_are_chosen_by_name(ingest, frame, queue):
    ingest(frame)
    one = waiting(queue())["_row_id"][1]
    assert list(waiting(queue(), Choice(ids=[one]))["_row_id"]) == [one]


def test_rows_that_pass_today_are_merged_into_their_partitions_and_leave_the_queue(
    ingest, frame, queue, lake, entries
):
    ingest(frame)
    versions = lake.version("cars")
    found = clearance.release(queue(cars(maximum=300.5)), Choice(first=ONE, last=TWO), decision())
    assert (found.released, found.partitions) == (1, (ONE,))
    assert lake.version("cars") == versions + 1
    assert "2013-01-01-2" in published(lake)
    assert len(published(lake)) == 9
    assert len(published(lake, TWO)) == 9
    left = waiting(queue())
    assert set(left["speed"]) == {"301.0", "302.0"}
    assert list(found.kept.values()) == ["speed is not between -1.79769e+308 and 300.5"] * 2
    assert set(left["_reasons"]) == set(found.kept.values())
    (entry,) = entries()
    assert (entry["actor"], entry["use_case"]) == ("bob", "cars")
    assert entry["reason"] == "1 rows of 2013-01-01 released into the partition: the limit was too low"
    assert entry["evidence"]["keys"] == {entry["evidence"]["ids"][0]: ["2013-01-01-2"]}


def test_a_released_row_has_the_values_that_it_came_with(ingest, frame, queue, lake):
    ingest(frame)
    clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    released = lake.read("cars", [ONE]).set_index("id").loc["2013-01-01-2"]
    assert released["speed"] == 300.0
    assert released["seen"] == pd.Timestamp("2013-01-01T10:00Z")
    whole = lake.read("cars", [ONE])
    assert str(whole["doors"].dtype) == "Int64"


def test_a_row_that_was_no_text_does_not_become_text_by_waiting(ingest, frame, queue):
    ids = frame["id"].astype(object)
    ids[4] = 17
    ingest(frame.assign(id=ids))
    found = clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    assert list(found.kept.values()) == ["id is no string"]


def test_a_key_that_is_published_already_keeps_the_row_in_the_queue(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-5")
    ingest(frame.assign(id=ids))
    found = clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    assert list(found.kept.values()) == ["the key (id) is published already, with other values"]
    assert published(lake).count("2013-01-01-5") == 1


def test_two_refused_rows_with_one_key_keep_each_other_in_the_queue(ingest, frame, queue, lake):
    ids = frame["id"].mask(frame.index == 2, "2013-01-01-3")
    ingest(frame.assign(id=ids))
    found = clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    assert len(found.kept) == 2
    assert "there more than once among the refused rows" in next(iter(found.kept.values()))
    assert len(published(lake)) == 8


def test_equal_rows_are_released_together_and_published_once(ingest, frame, queue, lake):
    ingest(pd.concat([frame, frame.iloc[[3]]], ignore_index=True))
    found = clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    assert (found.released, found.kept) == (3, {})
    assert published(lake).count("2013-01-01-3") == 1
    assert len(published(lake)) == 10


def test_rows_of_a_partition_that_was_never_published_wait(ingest, frame, queue, lake, entries):
    assert not ingest(frame, cars(quarantine_limit=0)).passed
    found = clearance.release(queue(cars(maximum=1000)), Choice(), decision())
    assert found.released == 0
    assert "2013-01-01 was never published: have the partition ingested first" in str(found.kept)
    assert entries() == []
    assert len(waiting(queue())) == 3


def test_a_release_never_exceeds_the_declared_volume(ingest, frame, queue, lake):
    ingest(frame)
    found = clearance.release(queue(cars(maximum=1000, volume=(1, 9))), Choice(first=ONE), decision())
    assert set(found.kept.values()) == {"with these rows the partition would have more than 9"}
    assert len(published(lake)) == 8


def test_a_line_that_could_not_be_read_is_never_released(ingest, frame, queue):
    text = pd.Series(None, index=frame.index, dtype=object)
    text[7] = "2013-01-01-7;oops;;;"
    broken = frame.assign(_malformed=text)
    broken.loc[7, ["id", "speed"]] = [None, np.nan]
    report = ingest(broken)
    assert "_malformed" not in report.accepted
    kept = waiting(queue(), Choice(reason="could not be read"))
    assert list(kept["_reasons"]) == ["the line could not be read"]
    assert list(kept["_malformed"]) == ["2013-01-01-7;oops;;;"]
    found = clearance.release(queue(cars(maximum=1000)), Choice(ids=list(kept["_row_id"])), decision())
    assert "the line could not be read" in next(iter(found.kept.values()))


def test_a_column_that_was_declared_since_keeps_the_rows(ingest, frame, queue):
    ingest(frame)
    today = cars(maximum=1000)
    today = cars(columns=(*today.columns, Column(name="colour", dtype="string")))
    found = clearance.release(queue(today), Choice(first=ONE), decision())
    assert set(found.kept.values()) == {"there is no column colour"}


class Killed(BaseException):
    """What a killed process does: nothing more."""


def die(monkeypatch, call, *, before):
    """Make the `call`-th amendment of a table the last thing that happens."""
    amend, calls = Lake.amend, []

    def dying(self, *args, **kwargs):
        calls.append(args[0])
        if len(calls) == call and before:
            raise Killed
        done = amend(self, *args, **kwargs)
        if len(calls) == call:
            raise Killed
        return done

    monkeypatch.setattr(Lake, "amend", dying)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2], ids=["publish", "remove"])
def test_a_release_that_was_killed_and_runs_again_publishes_each_row_once_and_tells_once(
    ingest, frame, queue, lake, entries, monkeypatch, call, before
):
    ingest(frame)
    release = lambda: clearance.release(queue(cars(maximum=300.5)), Choice(first=ONE), decision())  # noqa: E731
    with monkeypatch.context() as patch:
        die(patch, call, before=before)
        with pytest.raises(Killed):
            release()
    everywhere = [*published(lake), *waiting(queue(), Choice(first=ONE))["id"]]
    assert set(everywhere) == set(frame["id"][:10])
    found = release()
    assert (found.released, found.partitions) == (1, (ONE,))
    assert sorted([*published(lake), *waiting(queue(), Choice(first=ONE))["id"]]) == sorted(frame["id"][:10])
    assert [entry["evidence"]["action"] for entry in entries()] == ["release"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_discard_that_was_killed_and_runs_again_tells_once(
    ingest, frame, queue, entries, monkeypatch, before
):
    ingest(frame)
    with monkeypatch.context() as patch:
        die(patch, 1, before=before)
        with pytest.raises(Killed):
            quarantine.discard(queue(), Choice(first=ONE), decision())
    quarantine.discard(queue(), Choice(first=ONE), decision())
    assert [entry["evidence"]["action"] for entry in entries()] == ["discard"]
    assert list(waiting(queue())["day"]) == ["2013-01-02"]


def test_a_release_that_goes_on_under_a_stricter_declaration_says_what_it_kept_after_all(
    ingest, frame, queue, lake, entries, monkeypatch
):
    ingest(frame)
    with monkeypatch.context() as patch:
        die(patch, 1, before=True)
        with pytest.raises(Killed):
            clearance.release(queue(cars(maximum=1000)), Choice(first=ONE), decision())
    found = clearance.release(queue(cars(maximum=300.5)), Choice(first=ONE), decision())
    assert found.released == 1
    assert [entry["evidence"]["action"] for entry in entries()] == ["release", "retain"]
    assert "2013-01-01-3" not in published(lake)


def test_discarding_needs_a_comment(ingest, frame, queue, entries):
    ingest(frame)
    with pytest.raises(DataError, match="cars: say in `comment` why the rows are discarded"):
        quarantine.discard(queue(), Choice(), decision(comment=" "))
    assert len(waiting(queue())) == 3
    assert quarantine.discard(queue(), Choice(), decision(comment="test drives")) == 3
    assert len(waiting(queue())) == 0
    assert [entry["reason"] for entry in entries()] == [
        "2 rows of 2013-01-01 discarded: test drives",
        "1 rows of 2013-01-02 discarded: test drives",
    ]
    assert len(queue().lake.read("cars_quarantine", version=entries()[0]["evidence"]["table_version"])) == 3


def test_a_decision_about_more_rows_than_the_ledger_can_name_is_refused(ingest, frame, queue, monkeypatch):
    ingest(frame)
    monkeypatch.setattr(quarantine, "MOST", 2)
    with pytest.raises(DataError, match="3 rows are more than one decision can name"):
        clearance.release(queue(), Choice(), decision())


def test_a_corrected_partition_supersedes_its_refused_rows_and_the_ledger_says_by_which_run(
    ingest, frame, queue, entries
):
    ingest(frame)
    for attempt in (1, 2):
        ingest(frame.assign(speed=1.0), run=f"cars_ingestion/second/{attempt}")
    assert len(waiting(queue())) == 0
    (entry,) = entries()
    assert "superseded: cars_ingestion/second judged the partition anew" in entry["reason"]
    assert (entry["evidence"]["rows"], len(entry["evidence"]["ids"])) == (3, 3)


def test_a_partition_that_is_refused_leaves_the_rows_of_the_published_one_in_the_queue(
    ingest, frame, queue, entries
):
    ingest(frame)
    worse = frame.assign(speed=999.0)
    assert not ingest(worse, run="cars_ingestion/second/1").passed
    assert {"300.0", "301.0", "302.0", "999.0"} == set(waiting(queue())["speed"])
    assert entries() == []


def test_an_ingestion_without_the_released_rows_says_so_in_the_evidence_and_in_the_ledger(
    ingest, frame, queue, lake, entries, database
):
    ingest(frame)
    clearance.release(queue(cars(maximum=1000)), Choice(), decision())
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
    amend = Lake.amend

    def late(self, table, *args, **kwargs):
        monkeypatch.setattr(Lake, "amend", amend)
        newer = lake.read("cars", [ONE]).assign(speed=55.0)
        lake.publish("cars", newer, [ONE], metadata={})
        return amend(self, table, *args, **kwargs)

    monkeypatch.setattr(Lake, "amend", late)
    clearance.release(queue(cars(maximum=300.5)), Choice(first=ONE), decision())
    speeds = lake.read("cars", [ONE]).set_index("id")["speed"]
    assert speeds["2013-01-01-2"] == 300.0
    assert set(speeds.drop("2013-01-01-2")) == {55.0}


def test_the_gate_says_what_it_refused(ingest, frame, database):
    ingest(frame)
    with database.connect() as connection:
        assert connection.scalar(select(gate_result.c.quarantined)) == 3
