"""A decision that was killed and runs again: each row once, and told once."""

from __future__ import annotations

import multiprocessing
import random
import time

import pytest

from include.data.lake.delta_tables import Lake
from include.data.quarantine import queue as quarantine
from include.data.quarantine import release as clearance
from include.data.quarantine.queue import RowFilter, pending
from tests.faults import releaser
from tests.include.data.quarantine.cars import ONE, cars, decision, published


class Killed(BaseException):
    """What a killed process does: nothing more."""


def die(monkeypatch, call, *, before):
    """Make the `call`-th amendment of a table the last thing that happens."""
    amend, calls = Lake.update, []

    def dying(self, *args, **kwargs):
        calls.append(args[0])
        if len(calls) == call and before:
            raise Killed
        done = amend(self, *args, **kwargs)
        if len(calls) == call:
            raise Killed
        return done

    monkeypatch.setattr(Lake, "update", dying)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2], ids=["publish", "remove"])
def test_a_release_that_was_killed_and_runs_again_publishes_each_row_once_and_tells_once(
    ingest, frame, queue, lake, entries, monkeypatch, call, before
):
    ingest(frame)
    release = lambda: clearance.release(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision())  # noqa: E731
    with monkeypatch.context() as patch:
        die(patch, call, before=before)
        with pytest.raises(Killed):
            release()
    everywhere = [*published(lake), *pending(queue(), RowFilter(first=ONE))["id"]]
    assert set(everywhere) == set(frame["id"][:10])
    found = release()
    assert (found.released, found.partitions) == (1, (ONE,))
    assert sorted([*published(lake), *pending(queue(), RowFilter(first=ONE))["id"]]) == sorted(
        frame["id"][:10]
    )
    assert [entry["evidence"]["action"] for entry in entries()] == ["release"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_discard_that_was_killed_and_runs_again_tells_once(
    ingest, frame, queue, entries, monkeypatch, before
):
    ingest(frame)
    with monkeypatch.context() as patch:
        die(patch, 1, before=before)
        with pytest.raises(Killed):
            quarantine.discard(queue(), RowFilter(first=ONE), decision())
    quarantine.discard(queue(), RowFilter(first=ONE), decision())
    assert [entry["evidence"]["action"] for entry in entries()] == ["discard"]
    assert list(pending(queue())["day"]) == ["2013-01-02"]


def test_a_release_that_goes_on_under_a_stricter_declaration_says_what_it_kept_after_all(
    ingest, frame, queue, lake, entries, monkeypatch
):
    ingest(frame)
    with monkeypatch.context() as patch:
        die(patch, 1, before=True)
        with pytest.raises(Killed):
            clearance.release(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    found = clearance.release(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision())
    assert found.released == 1
    assert [entry["evidence"]["action"] for entry in entries()] == ["release", "retain"]
    assert "2013-01-01-3" not in published(lake)


def test_a_release_killed_at_any_moment_loses_no_row_and_doubles_none(
    ingest, frame, queue, lake, database_url, entries
):
    processes, seed = multiprocessing.get_context("forkserver"), random.randrange(1_000_000)
    processes.set_forkserver_preload([releaser.__name__])
    moments, everybody = random.Random(seed), sorted(frame["id"][:10])
    for kill in range(5):
        ingest(frame, run=f"cars_ingestion/{kill}/1")
        run, begun = f"cars_quarantine/{kill}", processes.Event()
        process = processes.Process(target=releaser.release, args=(lake.uri, database_url, run, begun))
        process.start()
        assert begun.wait(120)
        time.sleep(moments.uniform(0, 0.3))
        process.kill()
        process.join()
        waits = pending(queue(), RowFilter(first=ONE))["id"]
        assert {*published(lake), *waits} == set(everybody), f"seed {seed}, kill {kill}"
        clearance.release(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision(run))
        waits = pending(queue(), RowFilter(first=ONE))["id"]
        assert sorted([*published(lake), *waits]) == everybody, f"seed {seed}, kill {kill}"
    told = [entry["evidence"]["run"] for entry in entries() if entry["evidence"]["action"] == "release"]
    assert told == [f"cars_quarantine/{kill}" for kill in range(5)]
