"""The append-only record of everything that decided about a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from include.database.tables import ledger
from include.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

Event = Literal[
    "registered", "refused", "staged", "shadowed", "approved", "rejected", "shifted",
    "promoted", "restored", "rolled_back", "decided", "switched_off", "quarantine", "reproduced",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger; `dedup_key` makes the same step, repeated, write it once."""

    use_case: str
    event: Event
    actor: str
    reason: str
    version: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    dedup_key: str | None = None


def append(connection: Connection, entry: Entry) -> None:
    """
    Write `entry` in the transaction of the change that it records.

    :raises ReleaseError: if its `dedup_key` stands in the ledger already for something else
    """
    values = {name: getattr(entry, name) for name in Entry.__slots__} | {"evidence": dict(entry.evidence)}
    statement = insert(ledger).values(values).on_conflict_do_nothing(index_elements=["dedup_key"])
    if connection.execute(statement).rowcount:
        return
    same = ("use_case", "event", "version")
    query = select(*(ledger.c[name] for name in same)).where(ledger.c.dedup_key == entry.dedup_key)
    written = connection.execute(query).one()
    if tuple(written) != tuple(values[name] for name in same):
        raise ReleaseError(
            f"The ledger's key {entry.dedup_key!r} belongs to {tuple(written)} already and cannot record "
            f"{entry.event!r} of {entry.use_case} version {entry.version}. Put what differs into the key."
        )


def has(connection: Connection, dedup_key: str) -> bool:
    """Return whether the step with this key was recorded already."""
    return connection.scalar(select(ledger.c.id).where(ledger.c.dedup_key == dedup_key)) is not None


def ledger_entries(connection: Connection, use_case: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Return the latest `limit` entries of a use case, newest first."""
    query = select(ledger).where(ledger.c.use_case == use_case).order_by(ledger.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def champion_at(connection: Connection, use_case: str, moment: datetime) -> dict[str, Any] | None:
    """Return the entry that made the champion of `moment`, or None where there was none."""
    query = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.at <= moment)
        .where(ledger.c.event.in_(("promoted", "rolled_back")))
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row else None


def refusals_since_promotion(connection: Connection, use_case: str, *, attempt: str = "") -> int:
    """
    Return how many attempts failed since the last promotion: refused by a gate, or rejected by a person.

    An attempt that is made again, as `attempt` of its evidence says, counts by how it ended last, and never
    against itself: leave it out by naming it. What a backfill refuses is evidence about the past, and never
    was an attempt.
    """
    last = (
        select(ledger.c.id)
        .where(ledger.c.use_case == use_case, ledger.c.event == "promoted")
        .order_by(ledger.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    ended = select(ledger.c.id, ledger.c.event, ledger.c.evidence["attempt"].astext.label("attempt")).where(
        ledger.c.use_case == use_case,
        ledger.c.event.in_(("refused", "rejected", "registered")),
        ledger.c.evidence["backfill"].astext.is_distinct_from("true"),
    )
    since = connection.scalar(select(last)) or 0
    rows = connection.execute(ended.where(ledger.c.id > since).order_by(ledger.c.id)).all()
    ends = {row.attempt or row.id: row.event for row in rows}
    ends.pop(attempt, None)
    return sum(event != "registered" for event in ends.values())


def require_registered(connection: Connection, use_case: str, version: int, digest: str) -> None:
    """
    Let pass the model that was registered as this version.

    :raises ReleaseError: if another one was, or none
    """
    query = (
        select(ledger.c.evidence["digest"].astext)
        .where(ledger.c.use_case == use_case, ledger.c.version == version, ledger.c.event == "registered")
        .order_by(ledger.c.id)
        .limit(1)
    )
    known = connection.scalar(query)
    if known is None:
        raise ReleaseError(
            f"The ledger knows of no registration of {use_case} version {version}. Versions come from the "
            f"training DAG: run {use_case}_training for one."
        )
    if known != digest:
        raise ReleaseError(
            f"{use_case} version {version} was registered as the model {known}, but MLflow has the model "
            f"{digest}: somebody exchanged it. Train a new version, and see who may write to MLflow."
        )
