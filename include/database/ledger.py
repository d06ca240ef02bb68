"""The append-only record of decisions about models."""

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

# Versions that an error suggests.
MAX_NAMED = 5

Event = Literal[
    "registered", "refused", "staged", "shadowed", "approved", "rejected", "shifted",
    "promoted", "restored", "rolled_back", "decided", "switched_off", "switched_on", "quarantine",
    "reproduced", "retired", "reinstated", "dropped", "erased", "frozen", "lifted", "paused", "resumed",
    "skipped", "aborted", "alerted", "resolved", "failed", "corrected", "annotated",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One row of the ledger.

    A step that gives a `dedup_key` can be repeated: its entry is written once.
    """

    use_case: str
    event: Event
    actor: str
    reason: str
    version: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    dedup_key: str | None = None


def append(connection: Connection, entry: Entry) -> None:
    """
    Write an entry in the transaction of the change that it records.

    Raises
    ------
    ReleaseError
        If its `dedup_key` belongs to an entry of another use case, event or version.
    """
    values = {name: getattr(entry, name) for name in Entry.__slots__} | {"evidence": dict(entry.evidence)}
    statement = insert(ledger).values(values).on_conflict_do_nothing(index_elements=["dedup_key"])
    if connection.execute(statement).rowcount:
        return
    identity = ("use_case", "event", "version")
    query = select(*(ledger.c[name] for name in identity)).where(ledger.c.dedup_key == entry.dedup_key)
    existing = tuple(connection.execute(query).one())
    if existing != tuple(values[name] for name in identity):
        raise ReleaseError(
            f"The ledger's key {entry.dedup_key!r} belongs to {existing} already and cannot record "
            f"{entry.event!r} of {entry.use_case} version {entry.version}. Add what differs to the key."
        )


def has(connection: Connection, dedup_key: str) -> bool:
    """Return whether an entry with this `dedup_key` exists."""
    return connection.scalar(select(ledger.c.id).where(ledger.c.dedup_key == dedup_key)) is not None


def ledger_entries(connection: Connection, use_case: str, *, limit: int = 100) -> list[dict[str, Any]]:
    """Return the latest `limit` entries of a use case, newest first."""
    query = select(ledger).where(ledger.c.use_case == use_case).order_by(ledger.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def champion_at(connection: Connection, use_case: str, moment: datetime) -> dict[str, Any] | None:
    """Return the entry that made the champion of `moment`; None if there was none, or it was retired."""
    query = (
        select(ledger)
        .where(ledger.c.use_case == use_case, ledger.c.at <= moment)
        .where(ledger.c.event.in_(("promoted", "rolled_back", "retired")))
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return dict(row) if row and row["event"] != "retired" else None


def refusals_since_promotion(connection: Connection, use_case: str, *, attempt: str = "") -> int:
    """
    Return how many attempts failed since the last promotion: refused by a gate, or rejected by a person.

    Entries with the same `attempt` in their evidence are repetitions, of which the last one counts. Entries
    of backfills do not count, since they are evidence about the past.

    Parameters
    ----------
    connection
        Connection to the airworthy database.
    use_case
        Name of a use case.
    attempt
        The current attempt, which is not counted.
    """
    last_promotion = (
        select(ledger.c.id)
        .where(ledger.c.use_case == use_case, ledger.c.event == "promoted")
        .order_by(ledger.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    attempt_label = ledger.c.evidence["attempt"].astext.label("attempt")
    results = select(ledger.c.id, ledger.c.event, attempt_label).where(
        ledger.c.use_case == use_case,
        ledger.c.event.in_(("refused", "rejected", "registered")),
        ledger.c.evidence["backfill"].astext.is_distinct_from("true"),
    )
    since_id = connection.scalar(select(last_promotion)) or 0
    rows = connection.execute(results.where(ledger.c.id > since_id).order_by(ledger.c.id)).all()
    last_events = {row.attempt or row.id: row.event for row in rows}
    last_events.pop(attempt, None)
    return sum(event != "registered" for event in last_events.values())


def require_approved(connection: Connection, use_case: str, version: int, *, run: str) -> None:
    """
    Raise an error unless the last answer about the release of a version by a DAG run is an approval.

    Raises
    ------
    ReleaseError
        If there is no answer, or it is a rejection.
    """
    query = (
        select(ledger.c.event)
        .where(ledger.c.use_case == use_case, ledger.c.version == version)
        .where(ledger.c.event.in_(("approved", "rejected")), ledger.c.evidence["run"].astext == run)
        .order_by(ledger.c.id.desc())
        .limit(1)
    )
    if connection.scalar(query) != "approved":
        raise ReleaseError(
            f"{use_case} version {version} is not promoted: the ledger has no approval of the run {run}. "
            "Trigger its deployment again, and let a person answer the task `approve`."
        )


def versions_in_ledger(connection: Connection, use_case: str, *, limit: int | None = None) -> list[int]:
    """Return the registered versions of a use case, the newest first."""
    query = (
        select(ledger.c.version)
        .where(ledger.c.use_case == use_case, ledger.c.event == "registered", ledger.c.version.is_not(None))
        .group_by(ledger.c.version)
        .order_by(ledger.c.version.desc())
        .limit(limit)
    )
    return list(connection.scalars(query))


def require_version(connection: Connection, use_case: str, version: int) -> None:
    """
    Raise an error unless a version that a person names was registered.

    Raises
    ------
    ReleaseError
        With the registered versions that are nearest to it.
    """
    registered = versions_in_ledger(connection, use_case)
    if version in registered:
        return
    nearest = sorted(registered, key=lambda other: abs(other - version))[:MAX_NAMED]
    names = ", ".join(str(number) for number in sorted(nearest, reverse=True))
    advice = f"the nearest that were are {names}" if names else f"none was yet: run {use_case}_training"
    raise ReleaseError(f"{use_case} version {version} was never registered; {advice}.")


def require_registered(connection: Connection, use_case: str, version: int, digest: str) -> None:
    """
    Raise an error unless this version was registered with the model of this digest.

    Raises
    ------
    ReleaseError
        If the version was registered with another model, or not registered.
    """
    query = (
        select(ledger.c.evidence["digest"].astext)
        .where(ledger.c.use_case == use_case, ledger.c.version == version, ledger.c.event == "registered")
        .order_by(ledger.c.id)
        .limit(1)
    )
    registered = connection.scalar(query)
    if registered is None:
        raise ReleaseError(
            f"The ledger has no registration of {use_case} version {version}. Versions are registered by the "
            f"training DAG: run {use_case}_training."
        )
    if registered != digest:
        raise ReleaseError(
            f"{use_case} version {version} was registered as the model {registered}, but MLflow has "
            f"the model {digest}: its files were replaced. Train a new version, and check "
            "who may write to MLflow."
        )
