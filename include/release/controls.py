"""What a person can do to a use case at any time: switch it off, freeze its releases, steer its rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import Entry, append
from include.database.tables import desired_state
from include.errors import ReleaseError
from include.release.freeze import freeze_releases
from include.release.rollout import NO_CHALLENGER, lock_state, read_state, update_state

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Engine

    from include.database.ledger import Event
    from include.declarations import Fallback
    from include.release.rollout import ReleaseState


def switch_off(engine: Engine, use_case: str, fallback: Fallback, *, actor: str, reason: str) -> ReleaseState:
    """
    Give callers the fallback instead of the champion, and end any rollout; a repetition changes nothing.

    Raises
    ------
    ReleaseError
        If the use case was never deployed or is retired, or `previous` is asked for and there is none.
    """
    with engine.begin() as connection:
        state = _lock_deployed(connection, use_case)
        content: dict[str, Any] = {"kind": fallback.kind, "reason": reason}
        if fallback.kind == "constant":
            content["value"] = fallback.value
        if fallback.kind == "baseline":
            content["version"] = state.champion
        if fallback.kind == "previous":
            content["version"] = state.previous
        if "version" in content and content["version"] is None:
            raise ReleaseError(
                f"{use_case} has no version for the fallback {fallback}; choose unavailable or a constant."
            )
        if state.fallback == content:
            return state
        changes = {"fallback": content, "epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, NO_CHALLENGER | changes)
        roles = {"champion": state.champion, "challenger": state.challenger}
        evidence = {"fallback": str(fallback), **roles}
        append(connection, Entry(use_case, "switched_off", actor, reason, state.champion, evidence))
        return read_state(connection, use_case)


def switch_on(engine: Engine, use_case: str, *, actor: str, reason: str) -> ReleaseState:
    """
    Let the champion answer again.

    Raises
    ------
    ReleaseError
        If the use case is not switched off.
    """
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if state.fallback is None:
            raise ReleaseError(f"{use_case} is not switched off; there is nothing to switch on.")
        update_state(connection, use_case, {"fallback": None, "generation": state.generation + 1})
        append(connection, Entry(use_case, "switched_on", actor, reason, state.champion))
        return read_state(connection, use_case)


def freeze(engine: Engine, use_case: str, *, actor: str, reason: str) -> bool:
    """Freeze releases until `lift`; return False, without a change, if they are frozen already."""
    with engine.begin() as connection:
        return freeze_releases(connection, use_case, actor=actor, reason=reason)


def lift(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Allow releases again.

    Raises
    ------
    ReleaseError
        If they are not frozen.
    """
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if state.frozen is None:
            raise ReleaseError(f"Releases of {use_case} are not frozen; there is nothing to lift.")
        update_state(connection, use_case, {"frozen": None})
        append(connection, Entry(use_case, "lifted", actor, reason, evidence={"frozen": state.frozen}))


def pause(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Keep a rollout at its step until `resume`; a challenger that fails is rolled back nevertheless.

    Raises
    ------
    ReleaseError
        If there is no rollout.
    """
    with engine.begin() as connection:
        state = _lock_rollout(connection, use_case)
        if not state.paused:
            update_state(connection, use_case, {"paused": True})
            append(connection, _rollout_entry(state, "paused", actor, reason))


def resume(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Let a paused rollout go on.

    Raises
    ------
    ReleaseError
        If there is no rollout, or it is not paused.
    """
    with engine.begin() as connection:
        state = _lock_rollout(connection, use_case)
        if not state.paused:
            raise ReleaseError(f"The rollout of {use_case} version {state.challenger} is not paused.")
        update_state(connection, use_case, {"paused": False})
        append(connection, _rollout_entry(state, "resumed", actor, reason))


def skip_step(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Declare the present step of a rollout passed, whatever its figures are; a paused rollout goes on.

    Raises
    ------
    ReleaseError
        If there is no rollout, or its version has not begun a step yet.
    """
    with engine.begin() as connection:
        state = _lock_rollout(connection, use_case)
        if not state.weight and not state.shadow_share:
            raise ReleaseError(
                f"{use_case} version {state.challenger} has no traffic and no copies yet: staging and the "
                "approval cannot be skipped."
            )
        if state.skipped != state.generation:
            update_state(connection, use_case, {"paused": False, "skipped": state.generation})
            append(connection, _rollout_entry(state, "skipped", actor, reason))


def abort(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Give the champion all traffic and end the rollout; its run fails.

    Raises
    ------
    ReleaseError
        If there is no rollout.
    """
    with engine.begin() as connection:
        state = _lock_rollout(connection, use_case)
        changes = {"epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, NO_CHALLENGER | changes)
        append(connection, _rollout_entry(state, "aborted", actor, reason))


def _lock_rollout(connection: Connection, use_case: str) -> ReleaseState:
    state = lock_state(connection, use_case)
    if state.challenger is None:
        raise ReleaseError(f"No version of {use_case} is being rolled out.")
    return state


def _rollout_entry(state: ReleaseState, event: Event, actor: str, reason: str) -> Entry:
    evidence = {"weight": state.weight, "shadow_share": state.shadow_share}
    return Entry(state.use_case, event, actor, reason, state.challenger, evidence)


def _lock_deployed(connection: Connection, use_case: str) -> ReleaseState:
    connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
    state = lock_state(connection, use_case)
    if state.retired:
        raise ReleaseError(f"{use_case} is retired: its callers get 410, and there is nothing to switch.")
    return state


# What needs nothing but a reason, by its name in forms.
ACTIONS: Mapping[str, Callable[..., object]] = {
    "switch on": switch_on,
    "freeze": freeze,
    "lift": lift,
    "pause": pause,
    "resume": resume,
    "skip": skip_step,
    "abort": abort,
}
