"""The end of a rollout whose owner is gone: by a person, or because its lease expired."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from include.database.ledger import Entry, append
from include.database.tables import desired_state
from include.errors import ReleaseError
from include.release.rollout import NO_CHALLENGER, ReleaseState, lock_state, update_state

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# A rollout that has had no step for so long ends when another one begins.
LEASE_DURATION = timedelta(hours=24)


def unlock(engine: Engine, use_case: str, *, actor: str, reason: str) -> ReleaseState:
    """
    End a rollout, whoever owns it, and give the champion all traffic; return the state before.

    Raises
    ------
    ReleaseError
        If there is no rollout.
    """
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if state.challenger is None:
            raise ReleaseError(f"{use_case} has no rollout; there is nothing to unlock.")
        _end_rollout(connection, state, actor, reason)
        return state


def end_expired_rollout(engine: Engine, use_case: str, *, owner: str, actor: str) -> bool:
    """Return whether a rollout of another owner had no step for `LEASE_DURATION` and was ended."""
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if state.challenger is None or state.owner == owner:
            return False
        age: timedelta = connection.execute(
            select(func.clock_timestamp() - desired_state.c.updated_at).where(
                desired_state.c.use_case == use_case
            )
        ).scalar_one()
        if age < LEASE_DURATION:
            return False
        _end_rollout(connection, state, actor, f"{state.owner} has had no step for {age}: its lease expired")
        return True


def _end_rollout(connection: Connection, state: ReleaseState, actor: str, reason: str) -> None:
    changes = {"epoch": state.epoch + 1, "generation": state.generation + 1}
    update_state(connection, state.use_case, NO_CHALLENGER | changes)
    evidence = {"weight": state.weight, "owner": state.owner}
    append(connection, Entry(state.use_case, "restored", actor, reason, state.challenger, evidence))
