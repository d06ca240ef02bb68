from __future__ import annotations

import pytest

from include.database import locks
from include.errors import ServiceUnavailable


def test_lock_is_free_after_its_block(database):
    with locks.advisory_lock(database, "key"):
        pass
    with locks.advisory_lock(database, "key", timeout_s=0.1):
        pass


def test_held_lock_raises_after_the_timeout(database):
    with (
        locks.advisory_lock(database, "key"),
        pytest.raises(ServiceUnavailable, match=r"'key' was not free within 0\.1 s: another attempt"),
        locks.advisory_lock(database, "key", timeout_s=0.1),
    ):
        pass


def test_locks_of_different_keys_are_independent(database):
    with locks.advisory_lock(database, "key"), locks.advisory_lock(database, "other", timeout_s=0.1):
        pass


def test_transaction_lock_is_free_after_the_transaction(database):
    with database.connect() as holder, database.connect() as other:
        with holder.begin():
            locks.lock_transaction(holder, "key")
            assert not locks.try_lock_session(other, "key")
        assert locks.try_lock_session(other, "key")


def test_session_lock_survives_its_transaction(database):
    with database.connect() as other:
        with database.connect() as holder:
            locks.lock_session(holder, "key")
            holder.commit()
            assert not locks.try_lock_session(other, "key")
            holder.invalidate()
        locks.lock_session(other, "key")
        other.invalidate()
