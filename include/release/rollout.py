"""The desired state of a use case and the transactions that change it, each with its ledger entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import Entry, append, has
from include.database.tables import desired_state, live_state
from include.errors import ReleaseError, ReleasesFrozen, StaleEpoch
from include.release.freeze import freeze_after_rollbacks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Engine

# The challenger's weight when it answers all requests.
FULL_WEIGHT = 10_000
NO_CHALLENGER: dict[str, Any] = {
    "challenger": None, "weight": 0, "shadow_share": 0.0, "owner": None, "paused": False, "skipped": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """
    Desired state of one use case.

    `weight` of 10,000 requests go to the challenger. `shadow_share` (0 to 1) of the champion's requests are
    copied to it. `generation` grows with each change that the controller must carry out, `epoch` with each
    attempt that takes or ends a rollout. `owner` is the DAG run that owns the rollout. If it is `retired`, no
    version is served or rolled out.

    While it is switched off, callers get `fallback`: `kind`, `reason`, and by its kind `value` or `version`.
    `frozen` is why releases are frozen. A `paused` rollout stays at its step. `skipped` is the generation of
    the step that a person declared passed.
    """

    use_case: str
    champion: int | None = None
    previous: int | None = None
    challenger: int | None = None
    weight: int = 0
    shadow_share: float = 0.0
    generation: int = 0
    epoch: int = 0
    owner: str | None = None
    retired: bool = False
    fallback: Mapping[str, Any] | None = None
    frozen: str | None = None
    paused: bool = False
    skipped: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission to change the state of a use case during a rollout; a newer epoch ends it."""

    use_case: str
    version: int
    epoch: int
    actor: str


def read_state(connection: Connection, use_case: str) -> ReleaseState:
    """Return the desired state of a use case; it is empty if no version was ever rolled out."""
    query = select(desired_state).where(desired_state.c.use_case == use_case)
    row = connection.execute(query).mappings().first()
    return _to_state(row) if row else ReleaseState(use_case)


def read_all_states(connection: Connection) -> list[ReleaseState]:
    """Return the desired states of all use cases, ordered by name."""
    rows = connection.execute(select(desired_state).order_by(desired_state.c.use_case)).mappings()
    return [_to_state(row) for row in rows]


def is_live(connection: Connection, use_case: str) -> bool:
    """Return whether the controller has reported the newest generation as ready."""
    query = (
        select(live_state.c.ready)
        .join(desired_state, desired_state.c.use_case == live_state.c.use_case)
        .where(live_state.c.use_case == use_case, live_state.c.generation == desired_state.c.generation)
    )
    return bool(connection.scalar(query))


def begin(
    engine: Engine, use_case: str, version: int, *, owner: str, actor: str, expected: int | None = None
) -> Lease:
    """
    Make `version` the challenger and return a lease on the use case; older leases become invalid.

    If the same `owner` (DAG run) begins again with the same version, the challenger keeps its traffic. With
    `expected`, only that version may be the champion.

    Raises
    ------
    ReleaseError
        If another owner's rollout is in progress, the champion is not the expected one or is `version`
        itself, or the use case is retired, switched off or frozen.
    """
    with engine.begin() as connection:
        connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
        state = lock_state(connection, use_case)
        _require_releasable(state)
        if state.champion == version:
            raise ReleaseError(
                f"{use_case} version {version} is the champion already; there is nothing to roll out."
            )
        if expected is not None and state.champion != expected:
            raise ReleaseError(
                f"{use_case} version {version} was compared with version {expected}, and version "
                f"{state.champion} is the champion now. Run {use_case}_training, which compares with it."
            )
        if state.challenger is not None and state.owner != owner:
            raise ReleaseError(
                f"{use_case} version {state.challenger} is being rolled out by {state.owner}. "
                "Wait until that run ends, or clear its task `restore` to end the rollout. If the run is "
                f"gone, use `airworthy release unlock {use_case} --reason …`."
            )
        changes: dict[str, Any] = {"epoch": state.epoch + 1, "owner": owner}
        if state.challenger != version:
            changes |= {"challenger": version, "weight": 0, "shadow_share": 0.0}
            changes["generation"] = state.generation + 1
        update_state(connection, use_case, changes)
        key = f"begin/{use_case}/{owner}/{version}"
        append(connection, Entry(use_case, "staged", actor, "rollout begins", version, dedup_key=key))
        return Lease(use_case, version, state.epoch + 1, actor)


def shift(
    engine: Engine, lease: Lease, *, weight: int, shadow_share: float, reason: str, key: str
) -> ReleaseState:
    """
    Send `weight` of 10,000 requests to the challenger, and copies of `shadow_share` of the champion's.

    The weight never decreases: if it is higher already, because an earlier step is repeated late, nothing
    changes. The ledger entry is written once per `key`.

    Raises
    ------
    ReleaseError
        If `weight` is not in 0 to 10,000, or `shadow_share` not in 0 to 1, or the use case is frozen.
    StaleEpoch
        If a newer attempt owns the rollout.
    """
    if not 0 <= weight <= FULL_WEIGHT or not 0 <= shadow_share <= 1:
        raise ReleaseError(
            f"weight {weight} is not in 0…{FULL_WEIGHT}, or shadow_share {shadow_share} not in 0…1"
        )
    with engine.begin() as connection:
        state = _lock_leased_state(connection, lease)
        _require_releasable(state)
        if state.weight > weight:
            return state
        if (state.weight, state.shadow_share) != (weight, shadow_share):
            split = {"weight": weight, "shadow_share": shadow_share}
            update_state(connection, lease.use_case, split | {"generation": state.generation + 1})
        event: Any = "shadowed" if weight == 0 and shadow_share else "shifted"
        evidence = {"weight": weight, "shadow_share": shadow_share}
        append(connection, Entry(lease.use_case, event, lease.actor, reason, lease.version, evidence, key))
        return read_state(connection, lease.use_case)


def promote(
    engine: Engine, lease: Lease, *, reason: str, evidence: dict[str, Any], needs_traffic: bool = True
) -> ReleaseState:
    """
    Make the challenger the champion; if this lease has promoted it already, change nothing.

    Without `needs_traffic`, for models without callers, it need not have answered requests.

    Raises
    ------
    ReleaseError
        If there is a champion and the challenger does not have all of the traffic, or the use case is
        frozen.
    StaleEpoch
        If a newer attempt owns the rollout.
    """
    with engine.begin() as connection:
        state = lock_state(connection, lease.use_case)
        if state.champion == lease.version and state.epoch == lease.epoch:
            return state
        state = _lock_leased_state(connection, lease)
        _require_releasable(state)
        if needs_traffic and state.champion is not None and state.weight != FULL_WEIGHT:
            raise ReleaseError(
                f"{lease.use_case} version {lease.version} has {state.weight / 100:g} % of the traffic. "
                "A challenger is promoted only after it has had all of it."
            )
        changes = {
            "champion": lease.version,
            "previous": state.champion,
            "generation": state.generation + 1,
        }
        update_state(connection, lease.use_case, NO_CHALLENGER | changes)
        key = f"promote/{lease.use_case}/{lease.version}/{lease.epoch}"
        entry = Entry(lease.use_case, "promoted", lease.actor, reason, lease.version, evidence, key)
        append(connection, entry)
        return read_state(connection, lease.use_case)


def restore(engine: Engine, lease: Lease, *, owner: str, actor: str, reason: str) -> bool:
    """
    Give the champion all traffic and remove the challenger.

    Returns
    -------
    bool
        False, without any change, if the version of `lease` and `owner` is not the challenger, or if a newer
        attempt owns the rollout.
    """
    use_case = lease.use_case
    version = lease.version
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if state.challenger != version or state.owner != owner or state.epoch != lease.epoch:
            return False
        changes = {"epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, NO_CHALLENGER | changes)
        append(connection, Entry(use_case, "restored", actor, reason, version, {"weight": state.weight}))
        freeze_after_rollbacks(connection, use_case)
        return True


def roll_back(
    engine: Engine, use_case: str, *, actor: str, reason: str, key: str, version: int | None = None
) -> ReleaseState:
    """
    Make the previous champion the champion again and end any rollout; the same `key` does it once.

    Afterwards there is no previous champion, so that a second rollback cannot restore the bad version.

    Raises
    ------
    ReleaseError
        If there is no previous champion, or `version` is given and another one is the champion.
    """
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        dedup_key = f"rollback/{use_case}/{key}"
        if has(connection, dedup_key):
            return state
        if version is not None and state.champion != version:
            raise ReleaseError(f"{use_case} version {version} is not the champion, but {state.champion} is.")
        if state.previous is None:
            advice = "Deploy the version that should serve."
            raise ReleaseError(f"{use_case} has no previous champion to go back to. {advice}")
        changes = {"champion": state.previous, "previous": None}
        changes |= {"epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, NO_CHALLENGER | changes)
        evidence = {"from": state.champion}
        append(connection, Entry(use_case, "rolled_back", actor, reason, state.previous, evidence, dedup_key))
        freeze_after_rollbacks(connection, use_case)
        return read_state(connection, use_case)


def retire(
    engine: Engine, use_case: str, *, actor: str, reason: str, evidence: Mapping[str, Any] | None = None
) -> ReleaseState:
    """
    Stop serving a use case and forbid rollouts; return the state before. A repetition changes nothing.

    Model servers end and the gateway answers 410 once the controller has carried it out.
    """
    with engine.begin() as connection:
        connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
        state = lock_state(connection, use_case)
        if state.retired:
            return state
        changes: dict[str, Any] = {"champion": None, "previous": None, "retired": True}
        changes |= {"epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, NO_CHALLENGER | changes)
        roles = {"champion": state.champion, "previous": state.previous, "challenger": state.challenger}
        entry = Entry(use_case, "retired", actor, reason, state.champion, roles | dict(evidence or {}))
        append(connection, entry)
        return state


def reinstate(engine: Engine, use_case: str, *, actor: str, reason: str) -> None:
    """
    Allow rollouts of a retired use case again; the next deployment serves a version.

    Raises
    ------
    ReleaseError
        If it is not retired.
    """
    with engine.begin() as connection:
        state = lock_state(connection, use_case)
        if not state.retired:
            raise ReleaseError(f"{use_case} is not retired; there is nothing to reinstate.")
        changes = {"retired": False, "epoch": state.epoch + 1, "generation": state.generation + 1}
        update_state(connection, use_case, changes)
        append(connection, Entry(use_case, "reinstated", actor, reason))


def _require_releasable(state: ReleaseState) -> None:
    """Raise ReleaseError if a retired, switched-off or frozen use case would be released."""
    name = state.use_case
    if state.retired:
        raise ReleaseError(
            f"{name} is retired: no version of it is rolled out. If it shall serve again, run "
            f"`airworthy models reinstate {name}`."
        )
    if state.fallback is not None:
        raise ReleaseError(
            f"{name} is switched off: {state.fallback['reason']}. To release versions again, run "
            f"`airworthy switch on {name} --reason …`."
        )
    if state.frozen is not None:
        raise ReleasesFrozen(
            f"Releases of {name} are frozen: {state.frozen}. Once that is solved, run "
            f"`airworthy release lift {name} --reason …`."
        )


def _to_state(row: Any) -> ReleaseState:
    return ReleaseState(**{name: row[name] for name in ReleaseState.__slots__})


def lock_state(connection: Connection, use_case: str) -> ReleaseState:
    """Return the state of a use case, which no other transaction can change until this one ends."""
    query = select(desired_state).where(desired_state.c.use_case == use_case).with_for_update()
    row = connection.execute(query).mappings().first()
    return _to_state(row) if row else ReleaseState(use_case)


def _lock_leased_state(connection: Connection, lease: Lease) -> ReleaseState:
    """Lock and return the state; raise StaleEpoch if the lease is no longer valid."""
    state = lock_state(connection, lease.use_case)
    if state.epoch != lease.epoch or state.challenger != lease.version:
        raise StaleEpoch(
            f"{lease.use_case}: this attempt has epoch {lease.epoch} and version {lease.version}, but the "
            f"state has epoch {state.epoch} and challenger {state.challenger}. "
            "A newer attempt owns the rollout."
        )
    return state


def update_state(connection: Connection, use_case: str, changes: dict[str, Any]) -> None:
    """Change columns of the desired state; its row must be locked."""
    values = changes | {"updated_at": func.clock_timestamp()}
    connection.execute(update(desired_state).where(desired_state.c.use_case == use_case).values(values))
