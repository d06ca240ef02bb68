"""The desired state of a use case, and the only ways in which it may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from include.database.ledger import Entry, append, has
from include.database.tables import desired_state, live_state
from include.errors import ReleaseError, StaleEpoch

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

FULL_WEIGHT = 10_000
NO_CHALLENGER: dict[str, Any] = {"challenger": None, "weight": 0, "shadow_share": 0.0, "owner": None}


@dataclass(frozen=True, slots=True)
class ReleaseState:
    """What should be true of one use case; `weight` is the challenger's share of 10,000 requests."""

    use_case: str
    champion: int | None = None
    previous: int | None = None
    challenger: int | None = None
    weight: int = 0
    shadow_share: float = 0.0
    generation: int = 0
    epoch: int = 0
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change one use case's state, until somebody begins anew."""

    use_case: str
    version: int
    epoch: int
    actor: str


def read_state(connection: Connection, use_case: str) -> ReleaseState:
    """Return the desired state; a use case that nobody touched has an empty one."""
    row = (
        connection.execute(select(desired_state).where(desired_state.c.use_case == use_case))
        .mappings()
        .first()
    )
    return _state(row) if row else ReleaseState(use_case)


def read_all_states(connection: Connection) -> list[ReleaseState]:
    """Return every desired state, by name."""
    rows = connection.execute(select(desired_state).order_by(desired_state.c.use_case)).mappings()
    return [_state(row) for row in rows]


def is_live(connection: Connection, use_case: str) -> bool:
    """Return whether the controller reported the latest generation as ready."""
    query = (
        select(live_state.c.ready)
        .join(desired_state, desired_state.c.use_case == live_state.c.use_case)
        .where(live_state.c.use_case == use_case, live_state.c.generation == desired_state.c.generation)
    )
    return bool(connection.scalar(query))


def begin(engine: Engine, use_case: str, version: int, *, owner: str, actor: str) -> Lease:
    """
    Take the use case for one rollout of `version` as the challenger, fencing out whoever had it.

    The same `owner` (the DAG run) beginning again resumes: its traffic stays as it is.

    :raises ReleaseError: if another owner's rollout is under way, or `version` is the champion already
    """
    with engine.begin() as connection:
        connection.execute(insert(desired_state).values(use_case=use_case).on_conflict_do_nothing())
        now = _locked(connection, use_case)
        if now.champion == version:
            raise ReleaseError(
                f"{use_case} version {version} is the champion already; there is nothing to roll out."
            )
        if now.challenger is not None and now.owner != owner:
            raise ReleaseError(
                f"{use_case} version {now.challenger} is being rolled out by {now.owner}. "
                "Wait for it, or clear its `restore` task to end it."
            )
        changes: dict[str, Any] = {"epoch": now.epoch + 1, "owner": owner}
        if now.challenger != version:
            changes |= {"challenger": version, "weight": 0, "shadow_share": 0.0}
            changes["generation"] = now.generation + 1
        _change(connection, use_case, changes)
        key = f"begin/{use_case}/{owner}/{version}"
        append(connection, Entry(use_case, "staged", actor, "rollout begins", version, dedup_key=key))
        return Lease(use_case, version, now.epoch + 1, actor)


def shift(
    engine: Engine, hold: Lease, *, weight: int, shadow_share: float, reason: str, key: str
) -> ReleaseState:
    """
    Send `weight` of 10,000 requests to the challenger and copies of `shadow_share` of the champion's.

    A challenger's traffic only grows: a step that is repeated late, when more is flowing, changes nothing.

    :raises StaleEpoch: if a newer attempt owns the rollout
    """
    if not 0 <= weight <= FULL_WEIGHT or not 0 <= shadow_share <= 1:
        raise ReleaseError(
            f"weight {weight} is not in 0…{FULL_WEIGHT}, or shadow_share {shadow_share} not in 0…1"
        )
    with engine.begin() as connection:
        now = _held(connection, hold)
        if now.weight > weight:
            return now
        if (now.weight, now.shadow_share) != (weight, shadow_share):
            split = {"weight": weight, "shadow_share": shadow_share}
            _change(connection, hold.use_case, split | {"generation": now.generation + 1})
        event: Any = "shadowed" if weight == 0 and shadow_share else "shifted"
        evidence = {"weight": weight, "shadow_share": shadow_share}
        append(connection, Entry(hold.use_case, event, hold.actor, reason, hold.version, evidence, key))
        return read_state(connection, hold.use_case)


def promote(engine: Engine, hold: Lease, *, reason: str, evidence: dict[str, Any]) -> ReleaseState:
    """
    Make the challenger the champion; repeated, it changes nothing.

    :raises ReleaseError: if a champion exists and the challenger does not carry all of its traffic
    :raises StaleEpoch: if a newer attempt owns the rollout
    """
    with engine.begin() as connection:
        now = _locked(connection, hold.use_case)
        if now.champion == hold.version and now.epoch == hold.epoch:
            return now
        now = _held(connection, hold)
        if now.champion is not None and now.weight != FULL_WEIGHT:
            raise ReleaseError(
                f"{hold.use_case} version {hold.version} carries {now.weight / 100:g} % of the traffic; "
                "only a challenger that carries all of it is promoted."
            )
        changes = {"champion": hold.version, "previous": now.champion, "generation": now.generation + 1}
        _change(connection, hold.use_case, NO_CHALLENGER | changes)
        key = f"promote/{hold.use_case}/{hold.version}/{hold.epoch}"
        append(connection, Entry(hold.use_case, "promoted", hold.actor, reason, hold.version, evidence, key))
        return read_state(connection, hold.use_case)


def restore(engine: Engine, use_case: str, version: int, *, owner: str, actor: str, reason: str) -> bool:
    """Give the champion all traffic back and retire `owner`'s challenger; return whether there was one."""
    with engine.begin() as connection:
        now = _locked(connection, use_case)
        if now.challenger != version or now.owner != owner:
            return False
        changes = {"epoch": now.epoch + 1, "generation": now.generation + 1}
        _change(connection, use_case, NO_CHALLENGER | changes)
        append(connection, Entry(use_case, "restored", actor, reason, version, {"weight": now.weight}))
        return True


def roll_back(engine: Engine, use_case: str, *, actor: str, reason: str, key: str) -> ReleaseState:
    """
    Make the previous champion the champion again, ending any rollout; the same `key` does it once.

    The version that is left is no place to go back to: two clicks must not bring it back.

    :raises ReleaseError: if there is no previous champion
    """
    with engine.begin() as connection:
        now = _locked(connection, use_case)
        dedup_key = f"rollback/{use_case}/{key}"
        if has(connection, dedup_key):
            return now
        if now.previous is None:
            raise ReleaseError(
                f"{use_case} has no previous champion to go back to. Deploy the version that should serve."
            )
        changes = {"champion": now.previous, "previous": None}
        changes |= {"epoch": now.epoch + 1, "generation": now.generation + 1}
        _change(connection, use_case, NO_CHALLENGER | changes)
        evidence = {"from": now.champion}
        append(connection, Entry(use_case, "rolled_back", actor, reason, now.previous, evidence, dedup_key))
        return read_state(connection, use_case)


def _state(row: Any) -> ReleaseState:
    return ReleaseState(**{name: row[name] for name in ReleaseState.__slots__})


def _locked(connection: Connection, use_case: str) -> ReleaseState:
    query = select(desired_state).where(desired_state.c.use_case == use_case).with_for_update()
    row = connection.execute(query).mappings().first()
    return _state(row) if row else ReleaseState(use_case)


def _held(connection: Connection, hold: Lease) -> ReleaseState:
    now = _locked(connection, hold.use_case)
    if now.epoch != hold.epoch or now.challenger != hold.version:
        raise StaleEpoch(
            f"{hold.use_case}: this attempt holds epoch {hold.epoch} of version {hold.version}, but now it "
            f"is epoch {now.epoch} and challenger {now.challenger}. A newer attempt owns the rollout."
        )
    return now


def _change(connection: Connection, use_case: str, changes: dict[str, Any]) -> None:
    values = changes | {"updated_at": func.clock_timestamp()}
    connection.execute(update(desired_state).where(desired_state.c.use_case == use_case).values(values))
