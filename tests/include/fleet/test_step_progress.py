"""How far a step of a rollout is, from ledger and access log."""

from __future__ import annotations

from uuid import uuid4

import pytest

from include.catalog import catalog
from include.database.tables import access_log
from include.fleet.step_progress import read_step_progress
from include.release import rollout
from tests.access_rows import access_row, mark_complete

NAME = "flight_delay"


def read(database):
    with database.connect() as connection:
        return read_step_progress(connection, catalog().use_cases[NAME])


@pytest.fixture
def lease(database):
    """Return the lease of version 2, which is staged beside the champion 1."""
    first = rollout.begin(database, NAME, 1, owner="dag/run-1", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    return rollout.begin(database, NAME, 2, owner="dag/run-2", actor="ann")


def test_step_counts_the_requests_of_the_challenger(database, lease):
    key = f"dag/run-2/{lease.epoch}/canary_25"
    rollout.shift(database, lease, weight=2_500, shadow_share=0, reason="25 %", key=key)
    answered = access_row(use_case=NAME, assigned_version=2, first_version=2, version=2)
    with database.begin() as connection:
        connection.execute(access_log.insert(), [answered | {"id": uuid4()} for _ in range(13)])
    mark_complete(database)
    step = read(database)
    assert (step.run, step.task, step.requests) == ("dag/run-2", "canary_25", 13)
    assert step.required >= catalog().use_cases[NAME].rollout.fewest_requests


def test_without_a_step_there_is_no_progress(database, lease):
    assert read(database) is None
    key = f"dag/run-2/{lease.epoch}/shadow"
    rollout.shift(database, lease, weight=0, shadow_share=1.0, reason="shadow", key=key)
    assert read(database).task == "shadow"
    rollout.restore(database, lease, owner="dag/run-2", actor="ann", reason="worse")
    assert read(database) is None
