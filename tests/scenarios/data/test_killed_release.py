"""A release or discard that is killed and runs again: each row once, one entry in the ledger."""

from __future__ import annotations

import multiprocessing
import random
import time
from contextlib import contextmanager

import pytest

from include.data.lake.delta_tables import Lake
from include.data.quarantine.queue import RowFilter, discard_rows, pending
from include.data.quarantine.release import release_rows
from tests.faults import releaser
from tests.include.data.quarantine.cars import ONE, cars, decision, published


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def die(monkeypatch):
    """Return a context in which the process ends before or after the `call`-th update of a table."""

    @contextmanager
    def die(call, *, before):
        update = Lake.update
        calls = []

        def dying(self, *args, **kwargs):
            calls.append(args[0])
            if len(calls) == call and before:
                raise Killed
            version = update(self, *args, **kwargs)
            if len(calls) == call:
                raise Killed
            return version

        with monkeypatch.context() as patch:
            patch.setattr(Lake, "update", dying)
            with pytest.raises(Killed):
                yield

    return die


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("call", [1, 2], ids=["publish", "remove"])
def test_killed_release_run_again_publishes_each_row_once(ingest, frame, queue, entries, die, call, before):
    ingest(frame)
    relaxed = queue(cars(maximum=300.5))
    lake = relaxed.lake
    with die(call, before=before):
        release_rows(relaxed, RowFilter(first=ONE), decision())
    everywhere = [*published(lake), *pending(queue(), RowFilter(first=ONE))["id"]]
    assert set(everywhere) == set(frame["id"][:10])
    result = release_rows(relaxed, RowFilter(first=ONE), decision())
    assert (result.released, result.partitions) == (1, (ONE,))
    assert sorted([*published(lake), *pending(queue(), RowFilter(first=ONE))["id"]]) == sorted(
        frame["id"][:10]
    )
    assert [entry["evidence"]["action"] for entry in entries()] == ["release"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_killed_discard_run_again_is_recorded_once(ingest, frame, queue, entries, die, before):
    ingest(frame)
    with die(1, before=before):
        discard_rows(queue(), RowFilter(first=ONE), decision())
    discard_rows(queue(), RowFilter(first=ONE), decision())
    assert [entry["evidence"]["action"] for entry in entries()] == ["discard"]
    assert list(pending(queue())["_airworthy_day"]) == ["2013-01-02"]


def test_killed_release_under_stricter_rules_records_retained(ingest, frame, queue, lake, entries, die):
    ingest(frame)
    with die(1, before=True):
        release_rows(queue(cars(maximum=1000)), RowFilter(first=ONE), decision())
    result = release_rows(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision())
    assert result.released == 1
    assert [entry["evidence"]["action"] for entry in entries()] == ["release", "retain"]
    assert "2013-01-01-3" not in published(lake)


def test_release_killed_at_any_moment_keeps_each_row_once(ingest, frame, queue, lake, database_url, entries):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([releaser.__name__])
    seed = random.randrange(1_000_000)
    delays = random.Random(seed)
    all_ids = sorted(frame["id"][:10])
    for kill in range(5):
        ingest(frame, run=f"cars_ingestion/{kill}/1")
        run = f"cars_quarantine/{kill}"
        begun = processes.Event()
        process = processes.Process(target=releaser.release, args=(lake.uri, database_url, run, begun))
        process.start()
        assert begun.wait(120)
        time.sleep(delays.uniform(0, 0.2))
        process.kill()
        process.join()
        pending_ids = pending(queue(), RowFilter(first=ONE))["id"]
        assert {*published(lake), *pending_ids} == set(all_ids), f"seed {seed}, kill {kill}"
        release_rows(queue(cars(maximum=300.5)), RowFilter(first=ONE), decision(run))
        pending_ids = pending(queue(), RowFilter(first=ONE))["id"]
        assert sorted([*published(lake), *pending_ids]) == all_ids, f"seed {seed}, kill {kill}"
    releases = [entry["evidence"]["run"] for entry in entries() if entry["evidence"]["action"] == "release"]
    assert releases == [f"cars_quarantine/{kill}" for kill in range(5)]
