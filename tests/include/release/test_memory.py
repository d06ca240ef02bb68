"""Growing memory of model servers, with PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from include.database.tables import server_memory
from include.release import memory

MINUTE = timedelta(minutes=1)
START = datetime(2026, 12, 1, tzinfo=UTC)
NAME = "delay"


@pytest.fixture
def measure(database):
    """Return a function that records the memory of each minute, in MB, and finds growth in spans of 4 min."""

    def run(*megabytes, version=2):
        with database.begin() as connection:
            for number, size in enumerate(megabytes):
                sample = {"use_case": NAME, "version": version, "replica": 1, "bytes": size * 1e6}
                connection.execute(server_memory.insert().values(sample | {"at": START + number * MINUTE}))
            window = {"start": START, "end": START + len(megabytes) * MINUTE, "span": 4 * MINUTE}
            return memory.find_growth(connection, NAME, **window, version=2)

    return run


def test_leak_is_named_with_figures(measure):
    assert measure(200, 210, 220, 230, 300, 480, 500, 520, 540) == (
        "the memory of version 2 grows: its model server 1 needed 480 MB or more in the last 4 minutes, "
        "at most 230 MB before"
    )


@pytest.mark.parametrize(
    "megabytes",
    [
        [200, 210, 220, 230, 300, 480, 500, 520, 400],
        [200, 460, 220, 230, 300, 480, 500, 520, 540],
        [200, 210, 220, 480, 500, 520, 540],
    ],
    ids=["a peak that is over", "a peak of before", "less than two spans"],
)
def test_other_growth_is_no_leak(measure, megabytes):
    assert measure(*megabytes) == ""


def test_leak_of_another_version_is_not_named(measure):
    assert measure(200, 210, 220, 230, 300, 480, 500, 520, 540, version=1) == ""


def test_old_samples_are_deleted(database):
    sample = {"use_case": NAME, "version": 1, "replica": 1, "bytes": 1}
    with database.begin() as connection:
        connection.execute(server_memory.insert().values(sample | {"at": START - timedelta(days=900)}))
        memory.record_memory(connection, [sample])
        assert len(connection.execute(server_memory.select()).all()) == 1
