"""Rollouts whose owner is gone, with PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, update

from include.database.ledger import ledger_entries
from include.database.tables import desired_state
from include.errors import ReleaseError, StaleEpoch
from include.release import leases, rollout


@pytest.fixture
def lease(database):
    first = rollout.begin(database, "delay", 1, owner="first", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    return rollout.begin(database, "delay", 2, owner="lost", actor="ann")


def grow_old(database, age=leases.LEASE_DURATION):
    old = func.clock_timestamp() - age
    with database.begin() as connection:
        connection.execute(update(desired_state).values(updated_at=old))


def state(database):
    with database.connect() as connection:
        return rollout.read_state(connection, "delay")


def test_unlock_ends_the_rollout_with_a_reason(database, lease):
    assert leases.unlock(database, "delay", actor="bob", reason="the scheduler is gone").challenger == 2
    assert state(database).challenger is None
    with database.connect() as connection:
        entry = ledger_entries(connection, "delay")[0]
    assert (entry["event"], entry["actor"], entry["reason"]) == ("restored", "bob", "the scheduler is gone")
    with pytest.raises(StaleEpoch):
        rollout.shift(database, lease, weight=200, shadow_share=0, reason="late", key="late")
    with pytest.raises(ReleaseError, match="nothing to unlock"):
        leases.unlock(database, "delay", actor="bob", reason="again")


def test_expired_rollout_ends_when_another_begins(database, lease):
    assert not leases.end_expired_rollout(database, "delay", owner="next", actor="ann")
    with pytest.raises(ReleaseError, match="airworthy release unlock delay"):
        rollout.begin(database, "delay", 3, owner="next", actor="ann")
    grow_old(database)
    assert not leases.end_expired_rollout(database, "delay", owner="lost", actor="ann")
    assert leases.end_expired_rollout(database, "delay", owner="next", actor="ann")
    assert rollout.begin(database, "delay", 3, owner="next", actor="ann").version == 3


@pytest.mark.parametrize("hours", [-1, 1])
def test_clock_that_is_set_ends_no_lease(database, lease, hours):
    grow_old(database, timedelta(hours=hours))
    assert not leases.end_expired_rollout(database, "delay", owner="next", actor="ann")


def first_and_second(database):
    first = rollout.begin(database, "delay", 1, owner="run-1", actor="ann")
    rollout.promote(database, first, reason="the first", evidence={})
    return rollout.begin(database, "delay", 2, owner="run-2", actor="ann")


def test_restore_of_an_older_attempt_changes_nothing(database):
    older = first_and_second(database)
    newer = rollout.begin(database, "delay", 2, owner="run-2", actor="ann")
    rollout.shift(database, newer, weight=2_500, shadow_share=0, reason="step", key="step")
    assert not rollout.restore(database, older, owner="run-2", actor="ann", reason="late")
    assert state(database).weight == 2_500
    assert rollout.restore(database, newer, owner="run-2", actor="ann", reason="the end")


def test_version_for_another_champion_is_not_begun(database):
    lease = first_and_second(database)
    rollout.restore(database, lease, owner="run-2", actor="ann", reason="the end")
    with pytest.raises(ReleaseError, match="compared with version 9, and version 1 is the champion"):
        rollout.begin(database, "delay", 2, owner="run-2", actor="ann", expected=9)
    assert rollout.begin(database, "delay", 2, owner="run-2", actor="ann", expected=1).version == 2


def test_version_without_callers_needs_no_traffic(database):
    lease = first_and_second(database)
    promoted = rollout.promote(database, lease, reason="batch", evidence={}, needs_traffic=False)
    assert (promoted.champion, promoted.previous) == (2, 1)
