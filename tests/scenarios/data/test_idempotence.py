"""Repeated, concurrent and killed publications leave one copy of a partition and the name of its run."""

from __future__ import annotations

import multiprocessing
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import chain
from threading import Event

import pandas as pd
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.data.lake.delta_tables import Lake
from include.errors import ServiceUnavailable, StaleAttempt
from tests.conftest import wait_until
from tests.faults import publisher
from tests.faults.publisher import DAYS, ROWS

ON_BOTH_STORES = True

ONE, TWO, _ = DAYS
SEED = 20130701


def commits(lake, table="things"):
    """Return the commits that hold rows, oldest first."""
    opened = DeltaTable(f"{lake.uri}/{table}", storage_options=dict(lake.storage_options))
    return [commit for commit in reversed(opened.history()) if commit["operation"] == "WRITE"]


def runs_and_tries(lake):
    return [(commit["run"], commit["try"]) for commit in commits(lake)]


def rows_of(day, value, count=2):
    return pd.DataFrame(
        {"id": [f"{day}/{n}" for n in range(count)], "value": value, "_airworthy_day": str(day)}
    )


# The publications of one step run at the same time; each replaces a set of days, once or five times.
publications = st.tuples(
    st.sets(st.integers(0, 2), min_size=1), st.integers(0, 3), st.sampled_from([1, 1, 1, 5])
)
steps = st.lists(st.lists(publications, min_size=1, max_size=3), min_size=1, max_size=3)


@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps)
def test_any_publications_leave_one_commit_each(storage_root, steps):
    lake = Lake(f"{storage_root.uri}/{uuid.uuid4().hex}", storage_root.options)
    # By version: run, days, rows of a day.
    published: dict[int, tuple[str, list[str], int]] = {}

    def run(name, numbers, count, times):
        days = [DAYS[number] for number in sorted(numbers)]
        frame = pd.concat([rows_of(day, name, count) for day in days])
        for number in range(1, times + 1):
            version = lake.publish("things", frame, days, metadata={"run": name, "try": str(number)})
            published[version] = name, [str(day) for day in days], count

    for turn, publications in enumerate(steps):
        with ThreadPoolExecutor(len(publications)) as pool:
            for number, (numbers, count, times) in enumerate(publications):
                pool.submit(run, f"{turn}.{number}", numbers, count, times)
    expected: dict[str, list[str]] = {}
    for _, (name, days, count) in sorted(published.items()):
        expected |= {day: [name] * count for day in days}
    actual: dict[str, list[str]] = {}
    for row in lake.read("things").to_dict("records"):
        actual.setdefault(row["_airworthy_day"], []).append(row["value"])
    assert actual == {day: names for day, names in expected.items() if names}
    assert [(commit["version"], commit["run"]) for commit in commits(lake)] == [
        (version, name) for version, (name, _, _) in sorted(published.items())
    ]
    assert len(published) == sum(times for _, _, times in chain.from_iterable(steps))


@pytest.fixture(scope="module")
def processes():
    """Return a context that forks processes from a server that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([publisher.__name__])
    return context


def start_publisher(processes, storage_root, lake, run):
    arguments = (lake.uri, storage_root.options, run)
    process = processes.Process(target=publisher.publish_until_killed, args=arguments, daemon=True)
    process.start()
    return process


def test_killed_publisher_leaves_each_day_once_and_complete(storage_root, processes):
    lake = Lake(f"{storage_root.uri}/lake", storage_root.options)
    delays = random.Random(SEED)
    for kill in range(6 if storage_root.options else 12):
        before = lake.version("things")
        process = start_publisher(processes, storage_root, lake, f"run{kill}")
        # Wait until the publisher works, so that it is not killed while it starts.
        while lake.version("things") == before:
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(delays.uniform(0, 0.15))
        process.kill()
        process.join()
        newest = {}
        for commit in commits(lake):
            number = int(commit["try"])
            newest[str(DAYS[number % 3])] = [f"{commit['run']}/{number}"] * ROWS
        rows = lake.read("things")
        assert rows.groupby("_airworthy_day")["mark"].agg(list).to_dict() == newest, f"kill {kill}"
        assert not rows.duplicated("id").any()
    # On a slow machine all kills may come before the third day was published.
    process = start_publisher(processes, storage_root, lake, "last")
    wait_until(lambda: len(lake.counts("things")) == len(DAYS), 120, "the publication of all days")
    process.kill()
    process.join()
    lake.publish("things", publisher.rows(ONE, "again"), [ONE], metadata={"run": "again", "try": "2"})
    assert set(lake.read("things", [ONE])["mark"]) == {"again"}
    lake.optimize_and_vacuum("things", timedelta(0))
    assert lake.counts("things") == dict.fromkeys(DAYS, ROWS)
    assert len(set(runs_and_tries(lake))) == len(runs_and_tries(lake))


def test_file_of_a_killed_publisher_is_not_read_and_deleted(storage_root):
    lake = Lake(f"{storage_root.uri}/lake", storage_root.options)
    lake.publish("things", rows_of(ONE, 1.0), [ONE], metadata={})
    [written] = [path for path in storage_root.files("lake/things") if path.endswith(".parquet")]
    orphan = written.replace("part-00000", "part-00009")
    storage_root.write(orphan, storage_root.open().open_input_file(written).read())
    assert len(lake.read("things")) == 2
    lake.optimize_and_vacuum("things", timedelta(days=1))
    assert orphan in storage_root.files("lake/things")
    lake.optimize_and_vacuum("things", timedelta(0))
    assert orphan not in storage_root.files("lake/things")
    assert len(lake.read("things")) == 2


def test_stale_try_does_not_replace_newer_rows(storage_root):
    lake = Lake(f"{storage_root.uri}/lake", storage_root.options)

    def publish(value, number, run="nightly", day=ONE, **more):
        lake.publish("things", rows_of(day, value), [day], metadata={"run": run, "try": str(number), **more})

    publish("wrong file", 1)
    publish("corrected file", 2)
    with pytest.raises(StaleAttempt, match="2013-01-01 was published by try 2 of nightly; try 1 comes too"):
        publish("wrong file", 1)
    assert set(lake.read("things")["value"]) == {"corrected file"}
    publish("corrected file", 2)
    publish("another day", 1, day=TWO)
    publish("another task", 1, task="amend")
    publish("another run", 1, run="manual")
    assert set(lake.read("things", [ONE])["value"]) == {"another run"}


def test_maintenance_beside_publishers_leaves_one_copy(storage_root):
    lake = Lake(f"{storage_root.uri}/lake", storage_root.options)
    done = Event()
    refusals = []
    for day in DAYS:
        lake.publish("things", rows_of(day, -1), [day], metadata={})

    def maintain():
        while not done.is_set():
            try:
                lake.optimize_and_vacuum("things", timedelta(days=1))
            except ServiceUnavailable as error:
                refusals.append(str(error))

    with ThreadPoolExecutor(1) as pool:
        maintenance = pool.submit(maintain)
        for number in range(12):
            day = DAYS[number % 3]
            lake.publish("things", rows_of(day, number), [day], metadata={"run": "r", "try": str(number)})
        done.set()
        maintenance.result()
    assert all("was published to while it was being compacted" in refusal for refusal in refusals)
    values = lake.read("things").groupby("_airworthy_day")["value"].agg(list).to_dict()
    assert values == {str(day): [9 + number] * 2 for number, day in enumerate(DAYS)}
